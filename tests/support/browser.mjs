// Drives a real Chromium by playwright-core: takes a step as a line of JSON on stdin, answers with a line on stdout.
// `browser.rs` starts it. MODULES is the folder of playwright-core, CHROMIUM the program. Both end with stdin.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { chromium } = createRequire(process.env.MODULES + "/")("playwright-core");
// A page must need nothing but loopback; what it asks for elsewhere fails at once, and is told by `faults`.
const nothingElse = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE [::1]";
const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: [nothingElse, "--disable-gpu", "--disable-quic"],
    timeout: 60_000,
});
const pages = [];

async function open({ url, scheme, width, height, script }) {
    const context = await browser.newContext({
        colorScheme: scheme,
        viewport: { width, height },
        javaScriptEnabled: script,
        reducedMotion: "reduce",
        locale: "en-US",
        timezoneId: "UTC",
    });
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    const opened = { page, faults: [], requests: [] };
    page.on("console", (said) => said.type() === "error" && opened.faults.push(`console: ${said.text()}`));
    page.on("pageerror", (error) => opened.faults.push(`script: ${error.message}`));
    page.on("request", (request) => opened.requests.push(`${request.method()} ${request.url()}`));
    page.on("requestfailed", async (request) => {
        const { errorText } = request.failure();
        // Chromium 156 now and then tells so of a streamed answer that a script has read to its end.
        const isRead = errorText === "net::ERR_ABORTED" && (await request.response().catch(() => null))?.ok();
        if (!isRead) {
            opened.faults.push(`${request.url()}: ${errorText}`);
        }
    });
    await page.goto(url);
    return pages.push(opened) - 1;
}

const steps = {
    click: ({ locator }) => locator.click(),
    fill: ({ locator }, { value }) => locator.fill(value),
    select: ({ locator }, { value }) => locator.selectOption(value),
    press: ({ page }, { value }) => page.keyboard.press(value),
    wait: ({ locator }, { value }) => locator.filter({ hasText: value }).first().waitFor(),
    text: ({ locator }) => locator.innerText(),
    texts: ({ locator }) => locator.allInnerTexts(),
    attribute: ({ locator }, { value }) => locator.getAttribute(value),
    shown: ({ locator }) => locator.isVisible(),
    count: ({ locator }) => locator.count(),
    evaluate: ({ page }, { value }) => page.evaluate(value),
    aria: ({ locator }) => locator.ariaSnapshot(),
    screenshot: ({ page }, { value }) => page.screenshot({ path: value, fullPage: true }).then(() => null),
    reload: ({ page }) => page.reload().then(() => null),
    resize: ({ page }, { width, height }) => page.setViewportSize({ width, height }),
    scheme: ({ page }, { value }) => page.emulateMedia({ colorScheme: value }),
    faults: ({ faults }) => faults,
    requests: ({ requests }) => requests,
    close: ({ page }) => page.context().close(),
};

console.log(JSON.stringify({ value: browser.version() }));
for await (const line of createInterface({ input: process.stdin })) {
    const step = JSON.parse(line);
    let answer;
    try {
        if (step.step === "open") {
            answer = { value: await open(step) };
        } else {
            const opened = pages[step.page];
            const locator = step.selector && opened.page.locator(step.selector);
            answer = { value: (await steps[step.step]({ ...opened, locator }, step)) ?? null };
        }
    } catch (error) {
        answer = { error: error.message };
    }
    console.log(JSON.stringify(answer));
}
await browser.close();
