/** One decision of the service, for whoever has to account for it later. */
export interface AuditEvent {
  /**
   * What was asked for: `authenticate`, `read`, `list`, `upload`, `update`, `delete`; `store` for a file that
   * came of an upload; `grant` for a URL that was signed;
   * `limit` for what was turned away for being too much; `scan` for what a scanner said.
   */
  readonly action: string;
  readonly allowed: boolean;
  /** The rule that allowed it, or the rule or reason that did not. */
  readonly why: string;
  /** Name of the call in the log; what callers get as `x-request-id`. */
  readonly requestId: string;
  /** Who called; empty if it is not known. */
  readonly principal: string;
  /** The person that the principal called for; empty if it called for itself. */
  readonly endUser: string;
  /** The file it was about; empty where there is none yet. */
  readonly fileId: string;
  /** More facts: ids, counts and times. Never a token, a URL, a location or content. */
  readonly facts?: Readonly<Record<string, string | number>>;
}

/**
 * Takes down what was decided. Append-only: nothing that was recorded is changed or removed by the service.
 *
 * Recording never fails a call and never waits. A destination that cannot be written to is reported in the log of the
 * service.
 */
export interface AuditLog {
  record(event: AuditEvent): void;
  /** Hands on everything that was recorded. Nothing is recorded after it. */
  close(): Promise<void>;
}

/** An event as it is written: names as in the log of the service, empty ones left out. */
export function toFields(event: AuditEvent): Record<string, string | number | boolean> {
  const { action, allowed, why, requestId, principal, endUser, fileId, facts } = event;
  return {
    ...{ action, allowed, why, request_id: requestId },
    ...(principal !== '' && { principal }),
    ...(endUser !== '' && { end_user: endUser }),
    ...(fileId !== '' && { file_id: fileId }),
    ...facts,
  };
}

/** Keeps several records of the same events; of none, none. */
export function auditTo(logs: readonly AuditLog[]): AuditLog {
  return {
    record(event) {
      for (const log of logs) log.record(event);
    },
    async close() {
      await Promise.all(logs.map((log) => log.close()));
    },
  };
}
