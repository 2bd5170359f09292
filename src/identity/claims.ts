import type { JWTPayload } from 'jose';
import { type Principal, type Role, ROLES } from '../files/caller.ts';

/** What stands before a role in a token. */
const ROLE_PREFIX = 'asset:';

/** Greatest length of an id; OpenID Connect allows 255 characters for a subject. */
const MAX_ID_LENGTH = 255;

/** A name that breaks no log line and no header. */
const ID = /^[^\p{Cc}\p{Cs}\u2028\u2029]+$/u;

/** What Keycloak calls the user that stands for a client. */
const SERVICE_ACCOUNT = 'service-account-';

/**
 * Who a verified token is of.
 *
 * @param subjectClaim - the claim that holds the id
 * @param audience - the client whose `resource_access` counts
 * @returns undefined if the claim does not hold an id
 */
export function principalOf(
  payload: JWTPayload,
  subjectClaim: string,
  audience: string,
): Principal | undefined {
  const id = payload[subjectClaim];
  if (typeof id !== 'string' || id.length > MAX_ID_LENGTH || !ID.test(id)) return undefined;
  const client = clientOf(payload);
  return { id, roles: rolesOf(payload, audience), ...(client !== undefined && { client }) };
}

/**
 * True if a token is an access token as far as it says: Keycloak also signs ID tokens with the same keys, and writes the kind into the claim
 * `typ`; RFC 9068 writes it into the header. A token that is bound to a key (`cnf`) is no bearer token.
 */
export function isAccessToken(payload: JWTPayload, headerType: unknown): boolean {
  const type =
    typeof headerType === 'string' ? headerType.toLowerCase().replace(/^application\//, '') : 'jwt';
  if (type !== 'jwt' && type !== 'at+jwt') return false;
  return (payload['typ'] === undefined || payload['typ'] === 'Bearer') && payload['cnf'] === undefined;
}

/**
 * True if a token was given to a client for itself and not for a person: Keycloak names the user of such a client after it, and elsewhere
 * the client is its own subject.
 */
export function isServiceAccount(payload: JWTPayload): boolean {
  const { sub, preferred_username: name, azp, client_id: clientId, gty: grantType } = payload;
  return (
    (typeof name === 'string' && name.startsWith(SERVICE_ACCOUNT)) ||
    (sub !== undefined && (sub === azp || sub === clientId)) ||
    grantType === 'client-credentials'
  );
}

function clientOf({ azp, client_id: clientId }: JWTPayload): string | undefined {
  const client = azp ?? clientId;
  return typeof client === 'string' && client.length <= MAX_ID_LENGTH && ID.test(client) ? client : undefined;
}

/** Roles are where Keycloak puts those of the realm and of a client, and where everybody puts scopes. */
function rolesOf(payload: JWTPayload, audience: string): ReadonlySet<Role> {
  const { realm_access: realm, resource_access: resources, scope } = payload;
  const given = new Set([
    ...namesIn(member(realm, 'roles')),
    ...namesIn(member(member(resources, audience), 'roles')),
    ...(typeof scope === 'string' ? scope.split(' ') : []),
  ]);
  return new Set(ROLES.filter((role) => given.has(`${ROLE_PREFIX}${role}`)));
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

function namesIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
