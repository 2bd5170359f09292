import { parseLayouts, RECORD_FIELDS, type Layout } from '../legacy/layout.ts';
import type { Settings } from './options/options.ts';
import type { Mistakes } from './settings.ts';
import type { S3Config } from './s3.ts';

/** The old system, whose files are served in place. */
export interface LegacyConfig {
  readonly s3: S3Config & { readonly credentials?: { accessKeyId: string; secretAccessKey: string } };
  readonly layouts: readonly Layout[];
  readonly linkField: string;
  /**
   * Fields of the collection that callers must not see, each with the setting that names it; an empty text for a field
   * that may be missing.
   */
  readonly fields: Readonly<Record<string, string>>;
}

const SWITCHES = [
  ...(['ASSET_LEGACY_S3_ENDPOINT', 'ASSET_LEGACY_S3_PUBLIC_ENDPOINT', 'ASSET_LEGACY_S3_REGION'] as const),
  ...(['ASSET_LEGACY_S3_ACCESS_KEY_ID', 'ASSET_LEGACY_S3_SECRET_ACCESS_KEY'] as const),
  ...(['ASSET_LEGACY_S3_FORCE_PATH_STYLE', 'ASSET_LEGACY_LINK_FIELD'] as const),
] as const;

/** The old system in the settings; undefined if there is none. */
export function legacyConfig(settings: Settings, mistakes: Mistakes): LegacyConfig | undefined {
  const given = SWITCHES.find((name) => settings[name] !== undefined);
  const layouts = layoutsOf(settings, mistakes);
  if (settings.ASSET_LEGACY_S3_BUCKET === undefined && given === undefined) return undefined;
  const bucket = mistakes.require('ASSET_LEGACY_S3_BUCKET', given ?? 'the settings of the old bucket');
  const { ASSET_LEGACY_LINK_FIELD: linkField } = settings;
  const named = layouts.flatMap(({ fields }) => fields).filter((name) => !RECORD_FIELDS.includes(name));
  const config = {
    s3: { ...oldBucket(settings), bucket, ...credentials(settings, mistakes) },
    layouts,
    linkField: linkField ?? 'link',
    fields: {
      ...Object.fromEntries(named.map((name) => [name, 'ASSET_LEGACY_LAYOUTS'])),
      [linkField ?? 'link']: linkField === undefined ? '' : 'ASSET_LEGACY_LINK_FIELD',
    },
  };
  if (Object.values(settings.ASSET_POCKETBASE_FIELDS).includes(config.linkField)) {
    const taken = `"${config.linkField}" is a part of a file by ASSET_POCKETBASE_FIELDS, and a moved file loses its link`;
    mistakes.add('ASSET_LEGACY_LINK_FIELD', taken);
  }
  if (isOwnBucket(config.s3, settings)) {
    const own = `is the bucket of the service itself (ASSET_S3_BUCKET): name the old one (it is ${JSON.stringify(bucket)})`;
    mistakes.add('ASSET_LEGACY_S3_BUCKET', own);
  }
  return config;
}

function layoutsOf({ ASSET_LEGACY_LAYOUTS: text }: Settings, mistakes: Mistakes): readonly Layout[] {
  try {
    const layouts = parseLayouts(text);
    if (layouts.length === 0) mistakes.add('ASSET_LEGACY_LAYOUTS', 'names no template');
    return layouts;
  } catch (error) {
    mistakes.add('ASSET_LEGACY_LAYOUTS', (error as Error).message);
    return [];
  }
}

function oldBucket(settings: Settings): Omit<S3Config, 'bucket'> {
  const { ASSET_LEGACY_S3_ENDPOINT: own, ASSET_LEGACY_S3_PUBLIC_ENDPOINT: ownPublic } = settings;
  const endpoint = own ?? settings.ASSET_S3_ENDPOINT;
  const publicEndpoint = ownPublic ?? (own === undefined ? settings.ASSET_S3_PUBLIC_ENDPOINT : undefined);
  const pathStyle = settings.ASSET_LEGACY_S3_FORCE_PATH_STYLE ?? settings.ASSET_S3_FORCE_PATH_STYLE;
  return {
    ...(endpoint !== undefined && { endpoint }),
    ...(publicEndpoint !== undefined && { publicEndpoint }),
    region: settings.ASSET_LEGACY_S3_REGION ?? settings.ASSET_S3_REGION,
    forcePathStyle: pathStyle ?? endpoint !== undefined,
  };
}

function credentials(settings: Settings, mistakes: Mistakes): Pick<LegacyConfig['s3'], 'credentials'> {
  const [idName, secretName] = [
    'ASSET_LEGACY_S3_ACCESS_KEY_ID',
    'ASSET_LEGACY_S3_SECRET_ACCESS_KEY',
  ] as const;
  if (settings[idName] === undefined && settings[secretName] === undefined) return {};
  const accessKeyId = mistakes.require(idName, secretName);
  return { credentials: { accessKeyId, secretAccessKey: mistakes.require(secretName, idName) } };
}

function isOwnBucket({ bucket, endpoint }: S3Config, settings: Settings): boolean {
  if (settings.ASSET_STORE !== 's3' || bucket === '' || bucket !== settings.ASSET_S3_BUCKET) return false;
  return serverOf(endpoint) === serverOf(settings.ASSET_S3_ENDPOINT);
}

/** True if two buckets are on one server according to their addresses. */
export function isSameServer(one: Pick<S3Config, 'endpoint'>, other: Pick<S3Config, 'endpoint'>): boolean {
  return serverOf(one.endpoint) === serverOf(other.endpoint);
}

/** The server of an address; all names of this machine count as one. */
function serverOf(endpoint: string | undefined): string {
  if (endpoint === undefined) return '';
  const { protocol, host } = new URL(endpoint);
  return `${protocol}//${host.replace(/^(localhost|\[::1\]|127\.\d+\.\d+\.\d+)(?=:|$)/, 'loopback')}`;
}
