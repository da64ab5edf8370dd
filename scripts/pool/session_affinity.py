"""Tells LiteLLM's router which session a request belongs to: claude-failover says it in a header that LiteLLM does not read by itself."""

from litellm.integrations.custom_logger import CustomLogger


class SessionAffinity(CustomLogger):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        session = data.get("proxy_server_request", {}).get("headers", {}).get("x-session-affinity")
        if session:
            data.setdefault("metadata", {})["session_id"] = session
        return data


hook = SessionAffinity()
