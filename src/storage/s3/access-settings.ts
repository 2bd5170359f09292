import { isDeepStrictEqual } from 'node:util';
import type { BucketSetting } from '../bucket-access.ts';

/** URIs of the groups in ACLs that everybody belongs to, or everybody with an account of the store. */
const EVERYBODY = /\/groups\/global\/(AllUsers|AuthenticatedUsers)$/;

const BLOCKED = {
  ...{ BlockPublicAcls: true, IgnorePublicAcls: true, BlockPublicPolicy: true, RestrictPublicBuckets: true },
};

interface Statement {
  readonly Effect?: string;
  readonly Principal?: unknown;
  readonly NotPrincipal?: unknown;
}

interface Grant {
  readonly Grantee?: { readonly URI?: string | undefined } | undefined;
}

/** A setting without anything that lets everybody in; see `BucketAccess.closed`. */
export function closedSetting(setting: BucketSetting, value: string | null): string | null {
  switch (setting) {
    case 'policy':
      return value === null ? null : closedPolicy(value);
    case 'acl':
      return value === null ? null : closedAcl(value);
    case 'public-access-block':
      return isSameSetting(value, JSON.stringify(BLOCKED)) ? value : JSON.stringify(BLOCKED);
  }
}

/** True if a policy has a statement that lets everybody do something. Conditions do not count: whoever meets them is let in. */
export function isPublicPolicy(text: string): boolean {
  return statementsOf(text).some(isPublic);
}

/** True if an ACL grants something to everybody. */
export function isPublicGrant({ Grantee }: Grant): boolean {
  return EVERYBODY.test(Grantee?.URI ?? '');
}

/** True if two settings have the same content. Single values and lists of one are the same in a policy. */
export function isSameSetting(a: string | null, b: string | null): boolean {
  if (a === null || b === null || a === b) return a === b;
  return isDeepStrictEqual(normal(JSON.parse(a)), normal(JSON.parse(b)));
}

function closedPolicy(text: string): string | null {
  const all = statementsOf(text);
  const kept = all.filter((statement) => !isPublic(statement));
  if (kept.length === all.length) return text;
  return kept.length === 0 ? null : JSON.stringify({ ...(JSON.parse(text) as object), Statement: kept });
}

function closedAcl(text: string): string {
  const acl = JSON.parse(text) as { readonly Grants?: readonly Grant[] };
  const Grants = (acl.Grants ?? []).filter((grant) => !isPublicGrant(grant));
  return Grants.length === acl.Grants?.length ? text : JSON.stringify({ ...acl, Grants });
}

function statementsOf(text: string): readonly Statement[] {
  const { Statement: statements = [] } = JSON.parse(text) as { Statement?: Statement | Statement[] };
  return [statements].flat();
}

function isPublic({ Effect, Principal, NotPrincipal }: Statement): boolean {
  if (Effect !== 'Allow') return false;
  if (NotPrincipal !== undefined) return true;
  const isMap = typeof Principal === 'object' && Principal !== null && !Array.isArray(Principal);
  const named = isMap ? Object.values(Principal).flat() : [Principal].flat();
  return named.includes('*');
}

function normal(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 1 ? normal(value[0]) : value.map(normal);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, normal(one)]));
}
