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
    /// How this line begins.
    head: String,
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

/// In bytes: where a log's line has its time, and grep's its place.
const LONGEST_HEAD: usize = 120;

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
            head: String::new(),
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
        !(self.is_shown() || here.is_after_quoted || here.in_quotes || matches!(here.last, '\'' | '‘' | '‚' | '\\'))
    }

    /// Whether this line is one of a diff, a table, a log or a listing with numbers, by its beginning.
    pub(in crate::completions) fn is_listed(&self) -> bool {
        let line = self.head.trim_start();
        let bare = line.strip_prefix('[').unwrap_or(line);
        let digits = bare.len() - bare.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let after = bare[digits..].chars().next();
        let is_numbered =
            digits > 0 && matches!(after, Some(':' | '→' | '\t' | '|')) || digits == 4 && matches!(after, Some('-' | '/'));
        // `+text` and `-text`: an item of a list has a space.
        let is_of_diff =
            matches!(line.as_bytes(), [b'+' | b'-', next, ..] if !next.is_ascii_whitespace()) || matches!(line, "+" | "-");
        is_numbered || is_of_diff || line.starts_with('|') || names_a_line(line)
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
        if c != '\n' && self.head.len() < LONGEST_HEAD {
            self.head.push(c);
        }
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
                // Languages differ in which of these open and which close.
                '"' | '＂' | '„' | '“' | '”' | '«' | '»' | '‹' | '›' => self.in_quotes = !self.in_quotes,
                '「' | '『' => self.in_quotes = true,
                '」' | '』' => self.in_quotes = false,
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

/// Whether a line begins as grep's do: `src/main.rs:12:`.
fn names_a_line(line: &str) -> bool {
    let place = line.split_whitespace().next().unwrap_or_default();
    let mut parts = place.split(':').skip(1);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    // What follows the number has to be there.
    parts.next().is_some_and(is_number) && parts.next().is_some()
}

#[cfg(test)]
mod tests;
