//! HTML and SVG. Text gets into it only escaped: what stands in a tag or between two comes from the program's own source, or through
//! [`Piece`].

use std::fmt::{self, Display, Write};

use crate::shown::Shown;

/// Text that is HTML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Html(String);

impl Html {
    /// Markup that stands in this program's source.
    pub(crate) fn markup(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }
}

impl Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What can stand between markup, in a text or in an attribute between double quotes.
pub(crate) trait Piece {
    fn add_to(&self, html: &mut Html);
}

impl Piece for Html {
    fn add_to(&self, html: &mut Html) {
        html.0.push_str(&self.0);
    }
}

/// Without what drives a terminal or turns the direction of text: it deceives in a browser, too.
impl Piece for str {
    fn add_to(&self, html: &mut Html) {
        for c in Shown::line(self).chars() {
            match c {
                '&' => html.0.push_str("&amp;"),
                '<' => html.0.push_str("&lt;"),
                '>' => html.0.push_str("&gt;"),
                '"' => html.0.push_str("&quot;"),
                '\'' => html.0.push_str("&#39;"),
                c => html.0.push(c),
            }
        }
    }
}

impl Piece for String {
    fn add_to(&self, html: &mut Html) {
        self.as_str().add_to(html);
    }
}

impl Piece for Shown {
    fn add_to(&self, html: &mut Html) {
        (**self).add_to(html);
    }
}

impl<T: Piece + ?Sized> Piece for &T {
    fn add_to(&self, html: &mut Html) {
        (*self).add_to(html);
    }
}

impl<T: Piece> Piece for Option<T> {
    fn add_to(&self, html: &mut Html) {
        self.iter().for_each(|piece| piece.add_to(html));
    }
}

impl<T: Piece> Piece for Vec<T> {
    fn add_to(&self, html: &mut Html) {
        self.iter().for_each(|piece| piece.add_to(html));
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Piece for $number {
            fn add_to(&self, html: &mut Html) {
                let _ = write!(html.0, "{self}");
            }
        }
    )*};
}
numbers!(i32, u32, u64, usize);

/// HTML of literals, which are markup, and of other values, each a [`Piece`].
macro_rules! html {
    (@ $html:ident) => {};
    (@ $html:ident $markup:literal $(, $($rest:tt)*)?) => {
        $html.markup($markup);
        $crate::dashboard::html::html!(@ $html $($($rest)*)?);
    };
    (@ $html:ident $piece:expr $(, $($rest:tt)*)?) => {
        $crate::dashboard::html::Piece::add_to(&$piece, &mut $html);
        $crate::dashboard::html::html!(@ $html $($($rest)*)?);
    };
    ($($pieces:tt)*) => {{
        let mut html = $crate::dashboard::html::Html::default();
        $crate::dashboard::html::html!(@ html $($pieces)*);
        html
    }};
}
pub(crate) use html;

#[cfg(test)]
mod tests {
    use super::Html;

    #[test]
    fn text_of_others_is_never_markup() {
        let table = [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onload='x' &amp;", "&quot; onload=&#39;x&#39; &amp;amp;"),
            ("a\u{202e}b\u{2066}c\x1b[2J\0\u{9b}d\ne", "abc[2Jd e"),
            ("]]>--><![CDATA[", "]]&gt;--&gt;&lt;![CDATA["),
            ("مرحبا, 日本, 👩‍👩‍👧", "مرحبا, 日本, 👩‍👩‍👧"),
        ];
        for (text, expected) in table {
            for html in [html![text], html![text.to_string()], html![Some(text)], html![vec![text]]] {
                assert_eq!(html.to_string(), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn literals_are_markup_and_html_is_kept() {
        let inner: Html = html!["<b>", "x".to_string(), "</b>", u64::from(7_u8)];
        assert_eq!(
            html!["<p title=\"", "a\"b".to_string(), "\">", inner, None::<Html>, "</p>"].to_string(),
            "<p title=\"a&quot;b\"><b>x</b>7</p>"
        );
    }
}
