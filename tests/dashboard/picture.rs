//! The pictures of the README: the page in a night with a limit.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::dashboard::caller::Dashboard;
use crate::dashboard::night::{week, write_breaker, write_ledger};
use crate::support::browser::{Browser, Look};
use crate::support::life::Life;

/// With `DASHBOARD_PICTURE` they are written into that folder.
#[test]
fn a_night_with_a_limit() {
    let mut life = Life::new("ok");
    life.set("LOCAL_LLM_MODEL", "mlx-community/Qwen2.5-7B-Instruct-4bit");
    life.set("LOCAL_LLM_CONTEXT", "32768");
    // The zone in which it is three in the morning now.
    let hour = Timestamp::now().as_second().div_euclid(3600).rem_euclid(24);
    let west = (hour - 3 + 11).rem_euclid(24) - 11;
    life.set("TZ", format!("Etc/GMT{}{}", if west < 0 { "-" } else { "+" }, west.abs()));
    life.flip_to_local();
    life.switch("auto");
    write_ledger(&life, &week(170));
    write_breaker(&life, Some("five_hour"), 170, Some(95));
    let dashboard = Dashboard::of(&life);
    let browser = Browser::start();
    let folder = std::env::var_os("DASHBOARD_PICTURE").map(PathBuf::from);
    for (name, look) in [("dashboard.png", Look::light()), ("dashboard-dark.png", Look::dark())] {
        let page = browser.open(&format!("http://{}/", dashboard.host()), &look);
        page.wait_for_text("#connection", "Live");
        page.wait_for_text("#badge", "5-hour limit until");
        // Down to the timelines.
        page.evaluate(
            "document.querySelectorAll('main > section:nth-last-of-type(-n + 2), main details').forEach((part) => {
                part.style.display = 'none';
            })",
        );
        // In place of what the stand-in has.
        page.evaluate(
            "for (const [name, value] of [['Memory', '4.2 GiB'], ['Address', 'http://127.0.0.1:9420']]) {
                [...document.querySelectorAll('#server dt')].find((dt) => dt.textContent === name).nextElementSibling.textContent = value;
            }
            document.querySelectorAll('#chain li *').forEach((part) => {
                if (part.children.length === 0) part.textContent = part.textContent.replace(/:\\d+\\/v1.*/, ':9420');
            });",
        );
        if let Some(folder) = &folder {
            page.screenshot(&folder.join(name));
        }
        assert_eq!(page.faults(), [""; 0]);
    }
}
