/* claude [ARG...]
 *
 * Answers as Claude Code does, at once: in text, or in its typed stream if that is asked for. An argument "N tokens" asks
 * for as many pieces; "stay" for half a second before the end, in which the memory of whoever watches can be read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SESSION "\"session_id\":\"00000000-0000-4000-8000-000000000000\",\"uuid\":\"00000000-0000-4000-8000-000000000001\"}\n"
#define EVENT "{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"word \"}},\"parent_tool_use_id\":null," SESSION

int main(int argc, char **argv)
{
    int streams = 0, tokens = 1, stays = 0;
    for (int at = 1; at < argc; at++) {
        streams |= strcmp(argv[at], "stream-json") == 0;
        stays |= strcmp(argv[at], "stay") == 0;
        if (strstr(argv[at], " tokens"))
            tokens = atoi(argv[at]);
    }
    if (streams)
        printf("{\"type\":\"system\",\"subtype\":\"init\",\"cwd\":\"/\",\"tools\":[],\"model\":\"claude\",\"claude_code_version\":\"2.1.330\"," SESSION);
    for (int token = 0; streams && token < tokens; token++)
        fputs(EVENT, stdout);
    fflush(stdout);
    if (stays)
        usleep(500000);
    if (streams) {
        printf("{\"type\":\"assistant\",\"message\":{\"model\":\"claude\",\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"word\"}]},\"parent_tool_use_id\":null," SESSION);
        printf("{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"num_turns\":1,\"result\":\"word\"," SESSION);
    } else {
        puts("word");
    }
    return 0;
}
