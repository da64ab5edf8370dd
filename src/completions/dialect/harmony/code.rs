//! Whether Markdown that comes in pieces stands inside of code or of a quotation: marks there are spoken of, not used.

#[derive(Clone, Copy, Default)]
pub(super) struct Code {
    /// The character of the open fence, and how many of it.
    fence: Option<(char, usize)>,
    /// The back-quotes that opened inline code.
    inline: Option<usize>,
    run: Option<(char, usize)>,
    is_run_first: bool,
    has_begun_line: bool,
    is_quotation: bool,
}

impl Code {
    pub(super) fn push(&mut self, text: &str) {
        text.chars().for_each(|c| self.push_char(c));
    }

    /// Whether what comes next is code or quoted.
    pub(super) fn is_open(&self) -> bool {
        let mut now = *self;
        now.end_run();
        now.fence.is_some() || now.inline.is_some() || now.is_quotation
    }

    fn push_char(&mut self, c: char) {
        if let Some((_, length)) = self.run.as_mut().filter(|(first, _)| *first == c) {
            *length += 1;
            return;
        }
        self.end_run();
        match c {
            '`' | '~' => {
                self.run = Some((c, 1));
                self.is_run_first = !self.has_begun_line;
            }
            '\n' => {
                if !self.has_begun_line {
                    self.inline = None;
                }
                self.is_quotation = false;
            }
            '>' if !self.has_begun_line => self.is_quotation = true,
            _ => {}
        }
        self.has_begun_line = c != '\n' && (self.has_begun_line || !c.is_whitespace());
    }

    fn end_run(&mut self) {
        let Some((c, length)) = self.run.take() else { return };
        match self.fence {
            Some((open, at_least)) => {
                if self.is_run_first && c == open && length >= at_least {
                    self.fence = None;
                }
            }
            None if self.is_run_first && length >= 3 => {
                self.fence = Some((c, length));
                self.inline = None;
            }
            None if c == '`' => match self.inline {
                Some(opened) if opened == length => self.inline = None,
                Some(_) => {}
                None => self.inline = Some(length),
            },
            None => {}
        }
    }
}
