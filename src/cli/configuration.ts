import { ExplainedError, explainFailure, isExplained, isOutage } from '../config/explain.ts';
import { loadConfig, type Config } from '../config/config.ts';

/**
 * The configuration of this process. Sets environment variables from the configuration file that are for other
 * libraries, such as AWS_ACCESS_KEY_ID.
 */
export function configuration(defaults: Readonly<Record<string, string>> = {}): Config {
  const config = loadConfig({ ...defaults, ...process.env });
  Object.assign(process.env, config.foreign);
  return config;
}

/**
 * Runs `work` and explains its failure by the names of settings, unless it is a bug.
 *
 * @param toDo - what to do after a store or catalog has failed, such as {@link REPEAT}
 */
export async function explained<T>(config: Config, work: () => Promise<T>, toDo?: string): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ExplainedError || !isExplained(error)) throw error;
    const text = explainFailure(error, config);
    throw new ExplainedError(toDo !== undefined && isOutage(error) ? `${text}; ${toDo}` : text, error);
  }
}

/** What to do after a failure of a command that goes on where it was. */
export const REPEAT = 'when that is mended, repeat the command, which goes on';
