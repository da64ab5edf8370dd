//! Two people at two terminals.

use super::{ASKS, Home, VERSIONS};
use crate::auto::{each_of_a_share, in_two_hours, same};
use crate::support::script::says;

#[test]
fn what_one_session_has_learned_the_other_knows() {
    each_of_a_share(&VERSIONS, 2, |&version| {
        let mut home = Home::new(version);
        let model = home.plays([says("The first of here."), says("The second of here.")]);
        home.claude_says("An answer of Claude.");
        let (one, other) = (home.session("claude --permission-mode default"), home.session("claude --permission-mode default"));
        one.hears("Of apples.", "An answer of Claude.");
        other.hears("Of pears.", "An answer of Claude.");
        home.claude_is_at_its_limit(in_two_hours());
        one.is_refused("Of plums.");
        let asked = home.asked_of_claude().len();
        one.is_asked("Of nuts.", ASKS);
        other.is_asked("Of figs.", ASKS);
        other.goes(|other| other.answers("Of figs.", "local"));
        other.reads("The first of here.");
        same("asked of Claude meanwhile", asked, home.asked_of_claude().len())?;
        one.goes(|one| one.answers("Of nuts.", "local"));
        one.reads("The second of here.");
        let said = model.questions().iter().map(|question| super::conversation(question).join("/")).collect::<Vec<_>>();
        let expected = ["Of pears./An answer of Claude./Of figs.", "Of apples./An answer of Claude./Of plums. Of nuts."];
        same("said to the local model", expected.map(String::from).to_vec(), said)?;
        same("notifications", 1, home.told().len())?;
        other.says("/exit");
        other.terminal.wait_for("it has ended: 0");
        drop(other);
        one.leaves()
    });
}
