#!/bin/sh
# A notification on macOS by terminal-notifier. From a pipe it takes any text; as an option it reads some as lists.
PATH=$PATH:/opt/homebrew/bin:/usr/local/bin
printf '%s' "$1" | terminal-notifier -title llm-failover
