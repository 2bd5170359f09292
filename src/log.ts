import { pino, type DestinationStream, type Level, type Logger } from 'pino';

/** What no line of the log shows, should it ever be handed to it: the headers by which callers are known. */
const REDACTED = ['authorization', '["asset-user-token"]', 'cookie'].flatMap((name) => {
  const at = (path: string) => (name.startsWith('[') ? `${path}${name}` : `${path}.${name}`);
  return [name, at('*'), at('*.*')];
});

/**
 * The log of the service: JSON lines of this level and above.
 *
 * @param destination - where the lines go; standard output where left out
 */
export function openLog(level: Level | 'silent', destination?: DestinationStream): Logger {
  const options = { level, redact: REDACTED };
  return destination === undefined ? pino(options) : pino(options, destination);
}
