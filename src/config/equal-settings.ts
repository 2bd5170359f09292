import { createHash } from 'node:crypto';
import type { Config } from './config.ts';
import type { Option } from './options/option.ts';
import { OPTIONS } from './options/options.ts';

/**
 * Settings in which replicas may differ: of the process and its machine (addresses, paths, limits, intervals), and
 * credentials, which are replaced one replica after the other.
 */
const OWN =
  /^ASSET_(?:NEXT_)?(?:LISTEN|REUSE_PORT|DATA_DIR|MIN_FREE_SPACE|CONFIG_FILE|MIGRATE|POLICY_FILE|TLS_.*|OIDC_JWKS|CLAMD_ADDRESS|MAX_.*|LIMIT_(?!OPEN_).*|UPLOAD_(?:MEMORY|CONCURRENCY)|VARIANT_.*|SWEEP_.*|VERIFY_EVERY|HEALTH_INTERVAL|CONNECTION_.*|DRAIN_.*|WARM_UP.*|COMPILE_CACHE|METRICS_LISTEN|AUDIT_LOG|LOG_.*|POSTGRES_CONNECTIONS|BACKUP_.*|POCKETBASE_(?:EMAIL|PASSWORD)|.*ACCESS_KEY(?:_ID)?)$/;

/** Names of the settings that must be equal on all replicas, in a fixed order. `ASSET_POLICY_FILE` stands for its content. */
export const EQUAL_SETTINGS: readonly string[] = [
  ...Object.keys(OPTIONS).filter((name) => !OWN.test(name)),
  'ASSET_POLICY_FILE',
].toSorted();

/** Length of a fingerprint in characters. */
export const FINGERPRINT_LENGTH = 3;

/**
 * Short hashes of the settings that must be equal, in the order of {@link EQUAL_SETTINGS}: enough to see that two differ, and
 * too little to guess a value from. Each has {@link FINGERPRINT_LENGTH} characters of base64url.
 */
export function fingerprints({ settings, policies }: Config): readonly string[] {
  return EQUAL_SETTINGS.map((name) => {
    const isPolicy = name === 'ASSET_POLICY_FILE';
    const value: unknown = isPolicy ? policies.content : settings[name as keyof typeof settings];
    const { secret }: Partial<Option> = isPolicy ? {} : OPTIONS[name as keyof typeof OPTIONS];
    const hash = createHash('sha256')
      .update(`${name}=${canonical(value)}`)
      .digest('base64url');
    // Of a secret 12 bits: each guess is right for one in 4,096 values.
    return secret === true ? `${hash.slice(0, 2)}_` : hash.slice(0, FINGERPRINT_LENGTH);
  });
}

/** A value as text; the order of keys does not matter, and the user and password of a URL are left out. */
function canonical(value: unknown): string {
  const text = JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === 'string') return part.replace(/^([a-z]+:\/\/)[^/@]*@/, '$1');
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).toSorted(([one], [other]) => (one < other ? -1 : 1)));
  });
  return text ?? '';
}
