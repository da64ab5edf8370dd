"""Writes a line for each answer that LiteLLM has passed on whole: whose it was, which server gave it, and its text."""

import json
import os

from litellm.integrations.custom_logger import CustomLogger


class PoolLog(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        whole = kwargs.get("async_complete_streaming_response") or response_obj
        line = {
            "user": kwargs.get("user") or kwargs.get("optional_params", {}).get("user"),
            "server": kwargs.get("litellm_params", {}).get("api_base"),
            "text": whole.choices[0].message.content,
        }
        with open(os.environ["POOL_LOG"], "a") as log:
            log.write(json.dumps(line) + "\n")


hook = PoolLog()
