"""Webhook deliveries, and the addresses that they may call."""
