import type { Meter } from '@opentelemetry/api';
import type { Caller } from '../../identity/caller.ts';
import type { PathKind } from '../../legacy/old-path.ts';

/** Maximum number of callers with a label of their own. */
const MAX_CALLERS = 50;

/** Maximum length of a caller in a label, in characters. */
const MAX_NAME = 60;

/**
 * A counter of uses of old paths, by calling service and form of the path. People have one label together, and so have
 * services beyond the first {@link MAX_CALLERS}: `asset-service legacy status` names them all.
 */
export function legacyMetrics(meter: Meter): (caller: Caller, kind: PathKind) => void {
  const uses = meter.createCounter('asset.legacy.uses', {
    unit: '{use}',
    description: 'Files named by paths of the old system, by caller and form of the path',
  });
  uses.add(0, { caller: 'others', kind: 'url' });
  const known = new Set<string>();
  return ({ principal }, kind) => {
    const name = principal.isService ? principal.id.slice(0, MAX_NAME).toWellFormed() : 'people';
    if (!known.has(name) && known.size < MAX_CALLERS) known.add(name);
    uses.add(1, { caller: known.has(name) ? name : 'others', kind });
  };
}
