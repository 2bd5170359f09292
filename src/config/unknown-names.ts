import { closestMatch } from 'leven';
import { OPTIONS } from './options.ts';
import type { Option } from './options/types.ts';

/** Variables of the command line as a client and of its tests: no settings, but no mistakes either. */
const NOT_OURS = /^ASSET_(URL|TOKEN|TOKEN_FILE|USER_TOKEN|TEST_.*)$/;

/** Variables that Kubernetes sets in every container for a Service whose name starts with "asset". */
const SERVICE_LINK = /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$/;

/** Variables that look like settings but are not. */
export function unknownNames(environment: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(environment)
    .filter(([name, value = '']) => looksLikeOurs(name) && !isSetting(name) && !isServiceLink(name, value))
    .map(([name]) => name);
}

/** The message about an unknown name, with a suggestion. */
export function unknownNameText(name: string): string {
  const near = nearest(name);
  return `${name}: is no setting of the service${near === undefined ? '' : `: did you mean ${near}?`}`;
}

function looksLikeOurs(name: string): boolean {
  return /^asset_/i.test(name) && !NOT_OURS.test(name);
}

function isSetting(name: string): boolean {
  const options: Readonly<Record<string, Option>> = OPTIONS;
  return name in options || (name.endsWith('_FILE') && options[name.slice(0, -5)]?.secret === true);
}

function isServiceLink(name: string, value: string): boolean {
  return SERVICE_LINK.test(name) || (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value));
}

/** The most similar setting, if only a few letters differ. */
function nearest(name: string): string | undefined {
  const maxDistance = Math.max(2, Math.floor(name.length / 4));
  return closestMatch(name.toUpperCase(), Object.keys(OPTIONS), { maxDistance });
}
