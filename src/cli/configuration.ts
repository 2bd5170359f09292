import { ExplainedError, explainFailure, isExplained } from '../config/explain.ts';
import { loadConfig, type Config } from '../config.ts';

/** The configuration of this process. What its file says for other programs, such as AWS_ACCESS_KEY_ID, is put into the environment. */
export function configuration(defaults: Readonly<Record<string, string>> = {}): Config {
  const config = loadConfig({ ...defaults, ...process.env });
  Object.assign(process.env, config.foreign);
  return config;
}

/** Runs `work`; says what kept it from its end by the names of settings, unless that was a fault of the program. */
export async function explained<T>(config: Config, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isExplained(error) ? new ExplainedError(explainFailure(error, config), error) : error;
  }
}
