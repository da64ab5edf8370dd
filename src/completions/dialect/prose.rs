//! Where a text speaks for itself, and where it shows something: in code, in a quotation.
//!
//! Markdown's own rules (CommonMark 0.31, sections 4.4, 4.5, 5.1 and 6.1), on the careful side: what may be code is code.

/// The state of Markdown at the end of what has come.
#[derive(Clone, Debug)]
pub(in crate::completions) struct Prose {
    fence: Option<Fence>,
    /// The run that opened the fence stands on this line.
    opens_fence: bool,
    /// The fence ends with this line if nothing more comes on it.
    closes_fence: bool,
    /// A run of the signs that make fences and code spans, which may go on.
    run: (char, usize),
    /// The length of the run that opened a code span on this line.
    span: Option<usize>,
    /// Only white space and the marks of lists and quotations have come on this line.
    at_start: bool,
    has_list_mark: bool,
    /// How far the marks and the white space at the beginning of this line go.
    column: usize,
    indent: usize,
    is_quoted_line: bool,
    /// The line before was quoted, and its paragraph goes on without the mark (CommonMark, 5.1).
    is_after_quoted: bool,
    /// A quotation mark is open on this line.
    in_quotes: bool,
    is_after_blank: bool,
    is_blank: bool,
    /// The line before was code by its indentation.
    is_after_indented: bool,
    has_begun: bool,
    last: char,
}

/// What opened a fence. Only a line of the same kind closes it.
#[derive(Clone, Copy, Debug)]
struct Fence {
    sign: char,
    length: usize,
    column: usize,
    is_quoted: bool,
}

/// Deeper lines are code (CommonMark, 4.4).
const CODE_INDENT: usize = 4;

const SHORTEST_FENCE: usize = 3;

impl Default for Prose {
    fn default() -> Prose {
        Prose {
            fence: None,
            opens_fence: false,
            closes_fence: false,
            run: ('`', 0),
            span: None,
            at_start: true,
            has_list_mark: false,
            column: 0,
            indent: 0,
            is_quoted_line: false,
            is_after_quoted: false,
            in_quotes: false,
            is_after_blank: false,
            is_blank: true,
            is_after_indented: false,
            has_begun: false,
            last: '\n',
        }
    }
}

impl Prose {
    pub(in crate::completions) fn push(&mut self, text: &str) {
        text.chars().for_each(|c| self.take(c));
    }

    /// Whether what comes next is neither code nor quoted.
    pub(in crate::completions) fn is_plain(&self) -> bool {
        let mut here = self.clone();
        here.end_run();
        !(self.is_shown() || here.is_after_quoted || here.in_quotes || matches!(here.last, '\'' | '‘'))
    }

    /// Whether what comes next is code, or in lines that are quoted: nobody begins these by mistake.
    pub(in crate::completions) fn is_shown(&self) -> bool {
        let mut here = self.clone();
        here.end_run();
        here.fence.is_some() || here.span.is_some() || here.is_indented_code() || here.is_quoted_line
    }

    /// Whether nothing but white space stands before on the line.
    pub(in crate::completions) fn is_at_line_start(&self) -> bool {
        self.is_blank && self.run.1 == 0
    }

    /// Whether nothing but white space has come.
    pub(in crate::completions) fn is_at_beginning(&self) -> bool {
        !self.has_begun && self.is_at_line_start()
    }

    fn is_indented_code(&self) -> bool {
        self.has_begun && self.indent >= CODE_INDENT && (self.is_after_blank || self.is_after_indented)
    }

    fn take(&mut self, c: char) {
        if self.run.1 > 0 {
            if c == self.run.0 {
                self.run.1 += 1;
                return;
            }
            self.end_run();
        }
        let before = std::mem::replace(&mut self.last, c);
        if c == '\n' {
            return self.end_line();
        }
        if self.at_start && matches!(c, ' ' | '\t') {
            let width = if c == '\t' { CODE_INDENT } else { 1 };
            self.indent += if self.is_blank { width } else { 0 };
            self.column += width;
            return;
        }
        if c == '`' || c == '~' && self.at_start {
            self.run = (c, 1);
            self.is_blank = false;
            return;
        }
        // `->` is an arrow.
        self.is_quoted_line |= c == '>' && self.at_start && (self.is_blank || before.is_whitespace());
        self.at_start &= matches!(c, '>' | '-' | '*' | '+' | '.' | ')' | '0'..='9');
        self.has_list_mark |= c != '>';
        self.column += 1;
        self.is_blank &= c.is_whitespace();
        self.closes_fence &= c.is_whitespace();
        if self.fence.is_none() && self.span.is_none() {
            match c {
                '"' => self.in_quotes = !self.in_quotes,
                '“' | '„' | '«' | '「' | '『' => self.in_quotes = true,
                '”' | '»' | '」' | '』' => self.in_quotes = false,
                _ => {}
            }
        }
    }

    fn end_run(&mut self) {
        let (sign, length) = std::mem::replace(&mut self.run, ('`', 0));
        if length == 0 {
            return;
        }
        self.last = sign;
        match self.fence {
            Some(Fence { sign: '`', .. }) if self.opens_fence => {
                // The first line of such a fence has no other run: this was a code span.
                (self.fence, self.opens_fence) = (None, false);
            }
            Some(fence) => {
                let is_like_it = sign == fence.sign && length >= fence.length && self.is_quoted_line == fence.is_quoted;
                let is_alone = self.at_start && !self.has_list_mark && self.column < fence.column + CODE_INDENT;
                self.closes_fence = is_like_it && is_alone;
            }
            None if self.at_start && length >= SHORTEST_FENCE => {
                let fence = Fence { sign, length, column: self.column, is_quoted: self.is_quoted_line };
                (self.fence, self.opens_fence) = (Some(fence), true);
            }
            None if sign == '`' => {
                self.span = match self.span {
                    None => Some(length),
                    Some(opener) if opener == length => None,
                    open => open,
                };
            }
            None => {}
        }
        self.at_start = false;
    }

    fn end_line(&mut self) {
        *self = Prose {
            fence: self.fence.filter(|_| !self.closes_fence),
            is_after_indented: self.is_indented_code(),
            is_after_quoted: self.fence.is_none() && !self.is_blank && (self.is_quoted_line || self.is_after_quoted),
            is_after_blank: self.is_blank,
            has_begun: self.has_begun || !self.is_blank,
            ..Prose::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
