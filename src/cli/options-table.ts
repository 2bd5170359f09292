import type { Option } from '../options/types.ts';

/** All settings as text: name, default, meaning. */
export function optionsAsText(options: Readonly<Record<string, Option>>): string {
  return Object.entries(options)
    .map(([name, option]) => `${name}${defaultOf(option, '=')}\n    ${option.meaning}`)
    .join('\n');
}

/** All settings as Markdown for docs/configuration.md. */
export function optionsAsMarkdown(options: Readonly<Record<string, Option>>): string {
  const rows = Object.entries(options).map(
    ([name, option]) =>
      `| \`${name}\` | ${option.default === '' ? '' : `\`${option.default}\``} | ${option.meaning.replaceAll('|', '\\|')}${
        option.secret ? ' Secret: never logged or printed.' : ''
      } |`,
  );
  return `# Configuration

The service reads its settings from the environment, and from the file that \`ASSET_CONFIG_FILE\` names. It reports every
mistake at once when it starts and then does not start. An empty variable counts as unset. Credentials of S3 come from
the AWS chain: \`AWS_ACCESS_KEY_ID\` and \`AWS_SECRET_ACCESS_KEY\`, a profile, or the role of the machine.

Made by \`npm run docs:configuration\` from src/options.ts, which is also what \`asset-service config\` prints.

| name | default | meaning |
|---|---|---|
${rows.join('\n')}`;
}

function defaultOf(option: Option, sign: string): string {
  return option.default === '' ? '' : `${sign}${option.default}`;
}
