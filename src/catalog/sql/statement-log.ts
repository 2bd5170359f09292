import type { LogConfig } from 'kysely';
import { areRequestsWatched, isRequestWanted, tellRequest } from '../../system/requests.ts';
import type { SqlBackend } from './backend.ts';

/** Maximum length of a told statement, in characters. */
const MAX_TEXT = 500;

/** The option of Kysely that tells each statement, without its values; none if nobody wants to know. */
export function statementLog(kind: SqlBackend['kind']): { readonly log?: LogConfig } {
  if (!areRequestsWatched()) return {};
  const system = kind === 'postgres' ? 'postgresql' : 'sqlite';
  return {
    log({ query, queryDurationMillis, ...rest }) {
      if (!isRequestWanted()) return;
      const text = query.sql.trim();
      tellRequest({
        system,
        name: operationOf(text),
        durationMs: queryDurationMillis,
        attributes: { 'db.query.text': text.slice(0, MAX_TEXT) },
        ...('error' in rest && { error: rest.error }),
      });
    },
  };
}

/** What a statement does: its first word or, of one that begins with WITH, its first part that writes. */
function operationOf(text: string): string {
  const first = /^\w+/.exec(text)?.[0].toUpperCase() ?? 'statement';
  if (first !== 'WITH') return first;
  const [, written = 'select'] =
    /\b(?:(insert) into|(?<!for )(update) |(delete) from)/i.exec(text)?.filter(Boolean) ?? [];
  return written.toUpperCase();
}
