/** One change that a migration makes to a catalog. */
export interface MigrationStep {
  readonly verb: keyof typeof PAST;
  /** What is changed: `field files.owner`. */
  readonly what: string;
  /** How it will be, for whoever looks before it is done. */
  readonly detail?: string;
}

const PAST = {
  ...{ add: 'added', apply: 'applied', create: 'created', enable: 'enabled', make: 'made', raise: 'raised' },
} as const;

/** A line that says that a step was taken. */
export function stepDone({ verb, what }: MigrationStep): string {
  return `${PAST[verb]} ${what}`;
}

/** A line that says what a step would do. */
export function stepPlanned({ verb, what, detail }: MigrationStep): string {
  return `would ${verb} ${what}${detail === undefined ? '' : `: ${detail}`}`;
}
