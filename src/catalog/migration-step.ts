/** One change of a migration. */
export interface MigrationStep {
  readonly verb: keyof typeof PAST;
  /** What changes, such as `field files.owner`. */
  readonly what: string;
  /** Details for a preview. */
  readonly detail?: string;
}

const PAST = {
  ...{ add: 'added', apply: 'applied', change: 'changed', create: 'created', enable: 'enabled' },
  ...{ make: 'made', raise: 'raised' },
} as const;

/** The line for a step that was taken. */
export function stepDone({ verb, what }: MigrationStep): string {
  return `${PAST[verb]} ${what}`;
}

/** The line for a planned step. */
export function stepPlanned({ verb, what, detail }: MigrationStep): string {
  return `would ${verb} ${what}${detail === undefined ? '' : `: ${detail}`}`;
}
