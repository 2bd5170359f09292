import { isOver, type CatalogRow } from './row.ts';

/** What the settings of a replica name. */
export interface NamedCatalogs {
  /** Id of the catalog in ASSET_CATALOG; undefined if it has none. */
  readonly own: string | undefined;
  /** Id of that in ASSET_NEXT_CATALOG; undefined if it has none. */
  readonly next: string | undefined;
  /** True if ASSET_NEXT_CATALOG is set. */
  readonly hasNext: boolean;
  /** True if that catalog could be read. */
  readonly isNextKnown: boolean;
}

/** Why a replica with these settings must not serve, for the operator; undefined if it may. */
export function contradiction(row: CatalogRow, named: NamedCatalogs): string | undefined {
  const { own, next, hasNext, isNextKnown } = named;
  const active = row.active === row.source.id ? row.source : row.target;
  if (row.active !== own && row.active !== next) {
    // It may be the other one.
    if (hasNext && !isNextKnown) return undefined;
    if (row.state === 'completed') {
      return `ASSET_CATALOG: the files were moved to another catalog (${active.kind}): set ASSET_CATALOG=${active.kind} with its settings, and remove ASSET_NEXT_*`;
    }
    if (!hasNext) {
      return `ASSET_NEXT_CATALOG: is required: a move has switched to another catalog (${active.kind}), where the files are. Set ASSET_NEXT_* as for the other replicas`;
    }
    return `ASSET_NEXT_CATALOG: the catalog that it names is not the ${active.kind} where the files are: set ASSET_NEXT_* as for the other replicas`;
  }
  if (isOver(row)) return undefined;
  if (!hasNext) {
    if (row.active === row.source.id) return undefined;
    return `ASSET_NEXT_CATALOG: is required: the move to this catalog is not complete. Set ASSET_CATALOG=${row.source.kind} and ASSET_NEXT_* as for the other replicas, or run \`asset-service catalog move complete\` first`;
  }
  const other = own === row.source.id ? row.target : row.source;
  if (!isNextKnown || next === other.id) return undefined;
  return `ASSET_NEXT_CATALOG: a move to another catalog (${other.kind}) is under way: set ASSET_NEXT_* as for the other replicas, or run \`asset-service catalog move cancel\` with those settings first`;
}
