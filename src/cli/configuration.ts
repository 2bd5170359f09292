import { ExplainedError, explainFailure, isExplained } from '../config/explain.ts';
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

/** Runs `work` and explains its failure by the names of settings, unless it is a bug. */
export async function explained<T>(config: Config, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ExplainedError) throw error;
    throw isExplained(error) ? new ExplainedError(explainFailure(error, config), error) : error;
  }
}
