# Made from _async/_client_subscriptions.py by tools/generate_sync.py. Change that file.
"""Subscriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from asset_service._arguments import Timeout, check_ids, check_text
from asset_service._sync._client_base import ClientBase
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import methods
from asset_service._messages import to_parked_event, to_subscription
from asset_service.records import ParkedEvent, Subscription


class SubscriptionMethods(ClientBase):
    """Looks after subscriptions, whose events `consume` handles."""

    def subscriptions(
        self, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> Sequence[Subscription]:
        """The subscriptions of this caller, by name."""
        request = pb.ListSubscriptionsRequest()
        found = self._caller.call(methods.LIST_SUBSCRIPTIONS, request, self._options.call(timeout, headers))
        return [to_subscription(each) for each in found.subscriptions]

    def parked_events(
        self, subscription: str, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> Sequence[ParkedEvent]:
        """The events that failed too often, oldest first."""
        request = pb.ListParkedEventsRequest(subscription=check_text("subscription", subscription))
        found = self._caller.call(methods.LIST_PARKED_EVENTS, request, self._options.call(timeout, headers))
        return [to_parked_event(each) for each in found.events]

    def replay_parked_events(
        self,
        subscription: str,
        event_ids: Iterable[str] = (),
        *,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """Delivers parked events again, all if no id is given. Returns how many."""
        request = pb.ReplayParkedEventsRequest(
            subscription=check_text("subscription", subscription), event_ids=check_ids("event_ids", event_ids)
        )
        done = self._caller.call(methods.REPLAY_PARKED_EVENTS, request, self._options.call(timeout, headers))
        return done.replayed_events

    def delete_subscription(
        self, subscription: str, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Removes a subscription with its place and its parked events."""
        request = pb.DeleteSubscriptionRequest(subscription=check_text("subscription", subscription))
        self._caller.call(methods.DELETE_SUBSCRIPTION, request, self._options.call(timeout, headers))
