//! The contrast of texts to what they stand on, as WCAG 2.2 computes it.

/// An expression of JavaScript: the texts that have less than 4.5, with their contrast. What is disabled is exempt, but ours is not.
pub const FAINT: &str = r##"(() => {
    const rgb = (colour) => colour.match(/[\d.]+/g).map(Number);
    const over = (top, below) => {
        const alpha = top[3] ?? 1;
        return [0, 1, 2].map((i) => top[i] * alpha + below[i] * (1 - alpha));
    };
    const ground = (element) => {
        if (!element) return [255, 255, 255];
        return over(rgb(getComputedStyle(element).backgroundColor), ground(element.parentElement));
    };
    const light = (colour) => {
        const [r, g, b] = colour.map((part) => {
            const share = part / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (one, other) => {
        const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const faint = new Set();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let texts = 0;
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        const isText = walker.currentNode.data.trim() && !["TITLE", "DESC", "NOSCRIPT", "OPTION", "title", "desc"].includes(element.tagName);
        if (!isText || !element.checkVisibility()) continue;
        texts += 1;
        const style = getComputedStyle(element);
        const below = ground(element);
        const colour = over(rgb(element.tagName === "text" ? style.fill : style.color), below);
        const found = contrast(colour, below);
        if (found < 4.5) faint.add(`${element.tagName} ${element.className?.baseVal ?? element.className} ${found.toFixed(2)}`);
    }
    return texts > 30 ? [...faint] : ["no texts"];
})()"##;
