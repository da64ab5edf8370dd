//! Texts along a timeline: each where it begins, and none over another, in a wide window as on a telephone.

use crate::dashboard::html::{Html, html};
use crate::dashboard::timeline::number;

pub(super) struct Label {
    pub percent: f64,
    pub text: String,
}

/// The least width of a picture that counts as wide, and that on a telephone, in pixels.
const WIDTHS: [f64; 2] = [560.0, 260.0];

/// Of a character, in pixels.
const CHARACTER: f64 = 6.5;

/// What becomes of a text that does not fit in before the right end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    EndsThere,
    IsLeftOut,
}

/// A label has two texts where its place in a wide window and on a telephone differs. `is_minor`: of the labels' numbers, those for wide
/// windows alone.
pub(super) fn placed(
    labels: impl Iterator<Item = Label>,
    class: &str,
    y: u32,
    late: Late,
    is_minor: impl Fn(usize) -> bool,
) -> Vec<Html> {
    let mut ends = [0.0_f64; 2];
    let mut placed = Vec::new();
    for (index, label) in labels.enumerate() {
        let places = [0, 1].map(|window| {
            let place = Place::new(&label, WIDTHS[window], late)?;
            let fits = place.begin() >= ends[window] && !(window == 1 && is_minor(index));
            fits.then(|| {
                ends[window] = place.end();
                place
            })
        });
        let text = |place: &Place, window: &'static str| {
            let text = html!["\" y=\"", y, "\">", &label.text, "</text>"];
            match place {
                Place::AtTheEnd { .. } => {
                    html!["<text class=\"", class, window, "\" x=\"100%\" dx=\"-3\" text-anchor=\"end", text]
                }
                Place::AtIts { .. } => {
                    html!["<text class=\"", class, window, "\" x=\"", number(label.percent), "%\" dx=\"3", text]
                }
            }
        };
        placed.extend(match &places {
            [Some(wide @ Place::AtIts { .. }), Some(Place::AtIts { .. })]
            | [Some(wide @ Place::AtTheEnd { .. }), Some(Place::AtTheEnd { .. })] => vec![text(wide, "")],
            [wide, narrow] => {
                let narrow = narrow.as_ref().map(|narrow| text(narrow, " narrow"));
                wide.as_ref().map(|wide| text(wide, " wide")).into_iter().chain(narrow).collect()
            }
        });
    }
    placed
}

/// In pixels.
enum Place {
    AtIts { begin: f64, end: f64 },
    AtTheEnd { begin: f64, end: f64 },
}

impl Place {
    fn new(label: &Label, width: f64, late: Late) -> Option<Place> {
        let length = label.text.chars().count() as f64 * CHARACTER + 8.0;
        let begin = label.percent * width / 100.0;
        match begin + length <= width {
            true => Some(Place::AtIts { begin, end: begin + length }),
            false => (late == Late::EndsThere).then_some(Place::AtTheEnd { begin: width - length, end: width }),
        }
    }

    fn begin(&self) -> f64 {
        let (Place::AtIts { begin, .. } | Place::AtTheEnd { begin, .. }) = self;
        *begin
    }

    fn end(&self) -> f64 {
        let (Place::AtIts { end, .. } | Place::AtTheEnd { end, .. }) = self;
        *end
    }
}
