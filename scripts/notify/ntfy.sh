#!/bin/sh
# A message by ntfy.sh or a server of your own. Whoever knows the topic can read along: take one that nobody guesses.
url=https://ntfy.sh/your-topic
printf 'url = "%s"\n' "$url" | curl --config - --silent --show-error --fail --max-time 30 --output /dev/null \
    --header 'Content-Type: text/plain; charset=utf-8' --header 'Title: llm-failover' --data-raw "$1"
