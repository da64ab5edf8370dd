//! What must hold for anything that the real Claude prints, however it is cut.

use serde_json::Value;

use crate::claude_code::protocol::line::Line;
use crate::claude_code::protocol::mark::with_local_provider;
use crate::claude_code::protocol::output::Format;
use crate::completions::fuzzing::cut;
use crate::watch::pieces::{Piece, Unread};
use crate::watch::stream_line::{is_left_out_of_arrays, unescape_separators, without_additions};

/// What comes of reads, with neighbouring pieces of text as one.
fn pieces<'b>(reads: impl IntoIterator<Item = &'b [u8]>) -> Vec<Piece> {
    let (mut unread, mut found) = (Unread::default(), Vec::new());
    let mut take = |unread: &mut Unread, has_ended| {
        while let Some(piece) = unread.next(has_ended) {
            match (piece, found.last_mut()) {
                (Piece::Text(more), Some(Piece::Text(text))) => text.extend(more),
                (piece, _) => found.push(piece),
            }
        }
    };
    for read in reads {
        unread.bytes.extend_from_slice(read);
        take(&mut unread, false);
    }
    take(&mut unread, true);
    found
}

/// The real Claude's output: lines of its stream, and what is none.
pub(crate) fn claude_lines(bytes: &[u8]) {
    let whole = pieces([bytes]);
    assert_eq!(pieces(cut(bytes)), whole);
    let mut together = Vec::new();
    for piece in whole {
        let (Piece::Line(part) | Piece::Text(part)) = &piece;
        together.extend_from_slice(part);
        if let Piece::Line(line) = &piece {
            assert!(line.starts_with(b"{"));
            check_line(line);
        }
    }
    assert_eq!(together, bytes, "nothing is lost");
}

/// All that is asked of a line.
fn told(line: &Line) -> String {
    let flags =
        [line.is_interrupt(), line.is_busy(), line.is_replay(), line.is_synthetic(), line.has_tool(), line.warns_of_limit()];
    let texts = (line.text(), line.session_id(), line.model(), line.version(), line.error(), line.event());
    let limits = (line.rejected_limit(), line.retry(), line.ending(), line.tokens(), line.answered_request());
    format!("{:?} {flags:?} {texts:?} {limits:?}", line.kind())
}

fn check_line(line: &[u8]) {
    let known = told(&Line::parse(line));
    assert_eq!(told(&Line::parse(&[b" ", line, b" \n"].concat())), known);
    is_left_out_of_arrays(line, true);
    let value = serde_json::from_slice::<Value>(line).ok();
    let meaning = |line: &[u8]| serde_json::from_slice::<Value>(line).ok();
    assert_eq!(meaning(&unescape_separators(line)), value);
    for format in [Format::Text, Format::Json, Format::StreamJson { partials: true }, Format::StreamJson { partials: false }] {
        let trimmed = without_additions(line, format);
        assert_eq!(without_additions(&trimmed, format), trimmed, "nothing is left to take out");
        let Some(before) = &value else { continue };
        let after = meaning(&trimmed).unwrap_or_else(|| panic!("no JSON any more: {trimmed:?}"));
        for (key, value) in after.as_object().into_iter().flatten().filter(|(key, _)| *key != "capabilities") {
            assert_eq!(before.get(key), Some(value));
        }
    }
    let marked = with_local_provider(line, "m");
    assert_eq!(with_local_provider(&marked, "m"), marked);
}
