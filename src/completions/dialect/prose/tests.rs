use super::*;

#[test]
fn lines_of_listings() {
    let is_listed = |text: &str| {
        let mut prose = Prose::default();
        prose.push(text);
        prose.is_listed()
    };
    for listed in [
        "+",
        "a\n-",
        "+ x\n-x ",
        "| a | ",
        "12:",
        "    12\t",
        "12→",
        "2026-11-26T10:00:00Z INFO ",
        "[10:00:01] ",
        "src/main.rs:12:",
        "a:3:7: ",
    ] {
        assert!(is_listed(listed), "{listed:?}");
    }
    for plain in ["", "12:\n", "- ", "+ ", "1. ", "3 files. ", "2026 was ", "Now: ", "http://h:80/ and ", "at 12:00 ", "a:3 "] {
        assert!(!is_listed(plain), "{plain:?}");
    }
}

fn is_plain_after(text: &str) -> bool {
    let whole = {
        let mut prose = Prose::default();
        prose.push(text);
        prose.is_plain()
    };
    let mut prose = Prose::default();
    text.chars().for_each(|c| {
        prose.push(c.encode_utf8(&mut [0; 4]));
        prose.is_plain();
    });
    assert_eq!(prose.is_plain(), whole, "{text:?} by one");
    whole
}

#[test]
fn what_comes_next_is_plain() {
    let plain = [
        "",
        "I look.",
        "I look.\n",
        "Use `ls` and then ",
        "```\ncode\n```\n",
        "~~~ sh\n```\n~~~\n",
        "````\n```\n````\n",
        "```inline``` and ",
        "an odd ` here\n",
        "\"quoted\" and ",
        "“quoted” and ",
        "„quoted“ and ",
        "»quoted« and ",
        "”quoted” and ",
        "「quoted」 and ",
        "> quoted\n\nnot ",
        "- item\n",
        "  two spaces ",
        "    first of all ",
        "a paragraph\n    goes on ",
        "it's ",
        "1. one\n2. ",
        "a ~~~ b ",
        "-> ",
        "> quoted\n\nnot\n",
        "> quoted\n```\n> code\n```\n",
        "```\r\ncode\r\n```\r\n",
        "- ```\n  code\n  ```\n",
        "1.  ```\n    code\n    ```\n",
        "- a\n\n    ```\n    code\n    ```\n\n",
        "> ```\n> code\n> ```\n\n",
    ];
    for text in plain {
        assert!(is_plain_after(text), "{text:?}");
    }
}

#[test]
fn what_comes_next_is_shown() {
    let shown = [
        "```\n",
        "```",
        "```sh ",
        "~~~\n",
        "text\n  ```json\n{\n",
        "- ```\n",
        "````\n```\n",
        "```\ncode\n``` not the end\n",
        "Use `",
        "Use ``a ` b ",
        "say \"",
        "say “",
        "say «",
        "say »",
        "say „",
        "say 「",
        "say 『",
        "say \\",
        "say '",
        "> ",
        ">",
        "text\n  > ",
        "text\n\n    ",
        "text\n\n\t",
        "text\n\n    a\n    ",
        "- > ",
        "> quoted\nand on ",
        "say 「",
        "~~~ a`b\n",
        // What is no end of the fence.
        "```\n    ```\n",
        "```\n- ```\n",
        "```\n> ```\n",
        "> ```\n> code\n\n```\n",
        "```\r\n```x\r\n",
    ];
    for text in shown {
        assert!(!is_plain_after(text), "{text:?}");
    }
}
