import { z } from 'zod';
import type { ChangeType, FileFilter } from '../catalog/file-catalog.ts';

/** Maximum number of events taken from the log and not acknowledged. */
export const MAX_TAKEN = 200;

/** Maximum number of parked events. */
export const MAX_PARKED = 500;

/** Maximum length of a stored reason, in characters. */
const MAX_REASON = 500;

/** Delay before an event is delivered again, in milliseconds; doubled with every attempt. */
const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 300_000;

const type = z.enum(['created', 'updated', 'deleted', 'undeleted', 'purged'] as const satisfies ChangeType[]);
const date = z.iso.datetime().transform((text) => new Date(text));

const takenSchema = z.object({
  eventId: z.string(),
  fileId: z.string(),
  type,
  /** Cursor of the watch whose first event this is. */
  before: z.string(),
  /** Number of deliveries. */
  attempts: z.int(),
  /** End of the lease or of the delay, in milliseconds since 1970. */
  until: z.int(),
  /** Token of the lease; empty without a lease. */
  token: z.string(),
  /** Number of deliveries after which the event is parked. */
  maxAttempts: z.int(),
  reason: z.string(),
});

const parkedSchema = takenSchema
  .pick({ eventId: true, fileId: true, type: true, before: true, attempts: true, reason: true })
  .extend({ parkedAt: z.int() });

const schema = z.object({
  name: z.string(),
  createdAt: z.int(),
  filter: z.object({
    owner: z.string().optional(),
    usage: z.string().optional(),
    relation: z.object({ name: z.string(), id: z.string() }).optional(),
    contentType: z.string().optional(),
    createTimeFrom: date.optional(),
    createTimeTo: date.optional(),
  }),
  /** Cursor of a watch that continues after the last taken event. */
  cursor: z.string(),
  /** In the order of the log. */
  taken: z.array(takenSchema),
  parked: z.array(parkedSchema),
});

/** An event that is not acknowledged yet. */
export type TakenEvent = z.infer<typeof takenSchema>;

/** An event that failed too often. */
export type ParkedEvent = z.infer<typeof parkedSchema>;

/** The state of a subscription, as stored. */
export type SubscriptionState = z.infer<typeof schema> & { filter: FileFilter };

/** Parses a stored state. */
export function parseState(text: string): SubscriptionState {
  return schema.parse(JSON.parse(text)) as SubscriptionState;
}

/** Index of the delivery with this token, if its lease has not ended; otherwise undefined. */
export function findDelivery({ taken }: SubscriptionState, token: string, now: number): number | undefined {
  const at = taken.findIndex((event) => event.token === token && event.until > now);
  return at === -1 ? undefined : at;
}

/** Ends a failed delivery: delays the event, or parks it after its last attempt. Returns true if it is parked. */
export function fail(state: SubscriptionState, event: TakenEvent, reason: string, now: number): boolean {
  event.token = '';
  event.reason = reason.slice(0, MAX_REASON).toWellFormed();
  if (event.attempts < event.maxAttempts || state.parked.length >= MAX_PARKED) {
    event.until = now + Math.min(FIRST_DELAY_MS * 2 ** Math.max(0, event.attempts - 1), MAX_DELAY_MS);
    return false;
  }
  const { eventId, fileId, type: kind, before, attempts } = event;
  state.taken = state.taken.filter((other) => other !== event);
  state.parked.push({ eventId, fileId, type: kind, before, attempts, reason: event.reason, parkedAt: now });
  return true;
}

/** Ends expired leases. */
export function endLeases(state: SubscriptionState, now: number): void {
  for (const event of [...state.taken]) {
    if (event.token === '' || event.until > now) continue;
    const isParked = fail(state, event, event.reason || 'the lease ended without an acknowledgement', now);
    // The worker is probably gone: deliver the event to another one without a delay.
    if (!isParked) event.until = now;
  }
}

/** The events that may be delivered now, in order; of each file only the first. */
export function deliverable({ taken }: SubscriptionState, now: number, limit: number): TakenEvent[] {
  const files = new Set<string>();
  const found: TakenEvent[] = [];
  for (const event of taken) {
    if (found.length === limit) break;
    if (!files.has(event.fileId) && event.token === '' && event.until <= now) found.push(event);
    files.add(event.fileId);
  }
  return found;
}

/** Delivers parked events again; all if `eventIds` is empty. Returns how many. */
export function replay(state: SubscriptionState, eventIds: readonly string[], maxAttempts: number): number {
  const isChosen = ({ eventId }: ParkedEvent) => eventIds.length === 0 || eventIds.includes(eventId);
  const chosen = state.parked.filter(isChosen);
  state.parked = state.parked.filter((event) => !isChosen(event));
  const again = chosen.map(({ parkedAt: _, ...event }) => {
    return { ...event, attempts: 0, until: 0, token: '', maxAttempts };
  });
  // Parked events are older than all taken ones.
  state.taken = [...again, ...state.taken];
  return chosen.length;
}
