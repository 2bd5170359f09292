import { z } from 'zod';
import { type Principal, ROLES } from './caller.ts';

const roleNames = ROLES.map((role) => `asset:${role}` as const);

/** Principals by name of the certificate. */
const SCHEMA = z.record(
  z
    .string()
    .regex(/^(CN|URI):.+$/s, 'must be "CN:" and a common name, or "URI:" and a URI of the certificate'),
  z.strictObject({
    id: z.string().min(1).max(255),
    roles: z.array(z.enum(roleNames)),
  }),
);

/** The services that are identified by client certificates. */
export class CertificatePrincipals {
  readonly #byName: ReadonlyMap<string, Principal>;

  /**
   * @param value - an object such as `{"CN:worker": {"id": "worker", "roles": ["asset:read"]}}`
   * @throws ZodError if it has another form
   */
  constructor(value: unknown) {
    this.#byName = new Map(
      Object.entries(SCHEMA.parse(value)).map(([name, { id, roles }]) => [
        name,
        { id, roles: new Set(ROLES.filter((role) => roles.includes(`asset:${role}`))), isService: true },
      ]),
    );
  }

  /** The service whose certificate has these names; undefined if none or several match. */
  principalOf(names: readonly string[]): Principal | undefined {
    const found = new Set(names.flatMap((name) => this.#byName.get(name) ?? []));
    return found.size === 1 ? [...found][0] : undefined;
  }
}
