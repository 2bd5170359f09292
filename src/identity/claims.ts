import type { JWTPayload } from 'jose';
import { type Principal, type Role, ROLES } from './caller.ts';

/** Prefix of roles in a token. */
const ROLE_PREFIX = 'asset:';

/** Maximum length of an id; OpenID Connect allows 255 characters for a subject. */
const MAX_ID_LENGTH = 255;

/** An id without characters that could break a log line or a header. */
const ID = /^[^\p{Cc}\p{Cs}\u2028\u2029]+$/u;

/** Claims that name the client a token was issued to: OpenID Connect, RFC 9068, Okta, Microsoft Entra. */
const CLIENT_CLAIMS = ['azp', 'client_id', 'cid', 'appid'] as const;

/** Prefix of service accounts' user names in Keycloak, and suffix of clients' subjects in Auth0. */
const SERVICE_ACCOUNT = 'service-account-';
const AUTH0_CLIENT = '@clients';

/**
 * The principal of a verified token.
 *
 * @param subjectClaim - the claim with the id
 * @param audience - the client whose `resource_access` counts
 * @param personClaims - see {@link isServiceToken}
 * @returns undefined if the claim has no valid id
 */
export function principalOf(
  payload: JWTPayload,
  subjectClaim: string,
  audience: string,
  personClaims: readonly string[],
): Principal | undefined {
  const id = payload[subjectClaim];
  if (typeof id !== 'string' || id.length > MAX_ID_LENGTH || !ID.test(id)) return undefined;
  const client = clientOf(payload);
  return {
    id,
    roles: rolesOf(payload, audience),
    isService: isServiceToken(payload, personClaims),
    ...(client !== undefined && { client }),
  };
}

/**
 * True if the token says that it is an access token. Keycloak signs ID tokens with the same keys and writes the
 * kind into the claim `typ`; RFC 9068 writes it into the header. A token bound to a key (`cnf`) is no bearer token.
 */
export function isAccessToken(payload: JWTPayload, headerType: unknown): boolean {
  const type =
    typeof headerType === 'string' ? headerType.toLowerCase().replace(/^application\//, '') : 'jwt';
  if (type !== 'jwt' && type !== 'at+jwt') return false;
  return (payload['typ'] === undefined || payload['typ'] === 'Bearer') && payload['cnf'] === undefined;
}

/**
 * True if a token was issued to a client for itself, not for a person. Issuers mark such tokens differently, some
 * not at all: therefore a token that names its client counts as a person's only if it has a claim that only persons
 * have.
 *
 * @param personClaims - claims of which a person's token has at least one
 */
function isServiceToken(payload: JWTPayload, personClaims: readonly string[]): boolean {
  const { sub, preferred_username: name, gty: grantType, idtyp } = payload;
  const clients = CLIENT_CLAIMS.map((claim) => payload[claim]).filter((client) => client !== undefined);
  const isMarked =
    (typeof name === 'string' && name.startsWith(SERVICE_ACCOUNT)) ||
    clients.some((client) => sub === client) ||
    (typeof sub === 'string' && sub.endsWith(AUTH0_CLIENT)) ||
    grantType === 'client-credentials' ||
    grantType === 'client_credentials' ||
    idtyp === 'app' ||
    // Keycloak writes the address from which a service account signed in.
    payload['clientHost'] !== undefined ||
    payload['clientAddress'] !== undefined;
  if (isMarked || clients.length === 0) return isMarked;
  return !personClaims.some((claim) => payload[claim] !== undefined);
}

function clientOf(payload: JWTPayload): string | undefined {
  const client = CLIENT_CLAIMS.map((claim) => payload[claim]).find((value) => value !== undefined);
  return typeof client === 'string' && client.length <= MAX_ID_LENGTH && ID.test(client) ? client : undefined;
}

/** Reads roles where Keycloak writes realm and client roles, and in the scopes. */
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
