/** One decision of the service. */
export interface AuditEvent {
  /**
   * What was requested: `authenticate`, `read`, `list`, `watch`, `upload`, `update`, `delete`; `store` for a file made from
   * an upload; `grant` for a signed URL; `limit` for a refusal because of a limit; `scan` for a scanner's finding.
   */
  readonly action: string;
  readonly allowed: boolean;
  /** The rule that allowed or refused it, or the reason. */
  readonly why: string;
  /** Id of the call in the log; callers get it as `x-request-id`. */
  readonly requestId: string;
  /** The caller; empty if unknown. */
  readonly principal: string;
  /** The end user; empty if the principal acted for itself. */
  readonly endUser: string;
  /** The file; empty if there is none yet. */
  readonly fileId: string;
  /** Further ids, counts and times. Never a token, URL, location or content. */
  readonly facts?: Readonly<Record<string, string | number>>;
}

/**
 * Records decisions. Append-only: the service never changes or removes a record.
 *
 * Recording never fails or delays a call. If the destination cannot be written, the service's log says so.
 */
export interface AuditLog {
  record(event: AuditEvent): void;
  /** Flushes all records. Record nothing afterwards. */
  close(): Promise<void>;
}

/** An event as written: field names as in the service's log, without empty fields. */
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

/** Records every event in all of `logs`. */
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
