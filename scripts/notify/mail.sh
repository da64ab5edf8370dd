#!/bin/sh
# A mail, by whatever gives this machine a `sendmail`: Postfix, Exim, msmtp.
to=you@example.com
PATH=$PATH:/usr/sbin:/usr/lib
{
    printf 'To: %s\nSubject: llm-failover\nMIME-Version: 1.0\n' "$to"
    printf 'Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n%s\n' "$1"
} | sendmail -t -oi
