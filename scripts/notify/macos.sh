#!/bin/sh
# A notification on macOS.
exec osascript - "$1" <<'SCRIPT'
on run argv
    display notification (item 1 of argv) with title "llm-failover"
end run
SCRIPT
