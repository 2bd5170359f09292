/**
 * Builds the site of the docs into dist/docs: `npm run docs:site`. The page of the contract, docs/api.md, is made from the
 * comments in `proto/`; it is not committed. VitePress has its own lock file in docs/.vitepress.
 */
import { create, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema, SourceCodeInfoSchema } from '@bufbuild/protobuf/wkt';
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const site = join(root, 'docs', '.vitepress');

const SCALARS = {
  1: 'double',
  2: 'float',
  3: 'int64',
  4: 'uint64',
  5: 'int32',
  7: 'fixed32',
  8: 'bool',
  9: 'string',
};
const scalar = (type) => ({ ...SCALARS, 12: 'bytes', 13: 'uint32' })[type] ?? 'unknown';
const last = (name) => name.slice(name.lastIndexOf('.') + 1);

/** Name of the type of a field, such as `repeated File`. */
function typeOf({ type, typeName, label }) {
  return `${label === 3 ? 'repeated ' : ''}${typeName === '' ? scalar(type) : last(typeName)}`;
}

/** A comment as Markdown outside code, where Vue reads braces and angle brackets. */
const prose = (text) =>
  text
    .split(/(`[^`]*`)/)
    .map((part, index) =>
      index % 2 ? part : part.replaceAll('<', '&lt;').replaceAll('{{', '&#123;&#123;').replaceAll('|', '\\|'),
    )
    .join('');

/** Lines of the page for one file of the contract. */
function describeFile(file) {
  const info = file.sourceCodeInfo ?? create(SourceCodeInfoSchema);
  const comments = new Map(
    info.location.map(({ path, leadingComments }) => [path.join('.'), leadingComments]),
  );
  const comment = (...path) =>
    (comments.get(path.join('.')) ?? '')
      .split('\n')
      .map((line) => line.replace(/^ /, ''))
      .join('\n')
      .trim();
  const inline = (...path) => prose(comment(...path).replaceAll(/\s*\n\s*/g, ' '));
  const lines = [];
  file.service.forEach((service, index) => {
    lines.push(`## ${service.name}`, prose(comment(6, index)));
    service.method.forEach((method, number) => {
      const [asks, answers] = [method.clientStreaming, method.serverStreaming].map((is) =>
        is ? 'stream of ' : '',
      );
      lines.push(
        `### ${method.name}`,
        `${asks}[${last(method.inputType)}](#${last(method.inputType).toLowerCase()}) → ` +
          `${answers}[${last(method.outputType)}](#${last(method.outputType).toLowerCase()})`,
        prose(comment(6, index, 2, number)),
      );
    });
  });
  const addMessages = (messages, ...path) =>
    messages.forEach((message, index) => {
      if (message.options?.mapEntry) return;
      const own = [...path, index];
      lines.push(`### ${message.name}`, prose(comment(...own)));
      if (message.field.length > 0) {
        const rows = message.field.map(
          (field, number) => `| \`${field.name}\` | ${typeOf(field)} | ${inline(...own, 2, number)} |`,
        );
        lines.push(['| field | type | |', '| --- | --- | --- |', ...rows].join('\n'));
      }
      addMessages(message.nestedType, ...own, 3);
    });
  if (file.messageType.length > 0)
    lines.push(`## Messages of ${last(file.name.replace('.proto', '').replaceAll('/', '.'))}`);
  addMessages(file.messageType, 4);
  file.enumType.forEach((one, index) => {
    const rows = one.value.map((value, number) => `| \`${value.name}\` | ${inline(5, index, 2, number)} |`);
    lines.push(
      `## ${one.name}`,
      prose(comment(5, index)),
      ['| value | |', '| --- | --- |', ...rows].join('\n'),
    );
  });
  return lines;
}

const image = execFileSync('buf', ['build', 'proto', '--as-file-descriptor-set', '--output', '-'], {
  cwd: root,
  maxBuffer: 2 ** 26,
});
const files = fromBinary(FileDescriptorSetSchema, image).file.filter(
  ({ package: name }) => name === 'asset.v1',
);
files.sort((a, b) => b.service.length - a.service.length);
const page = [
  '# The contract',
  'Package `asset.v1`, made from the comments of its protos.',
  ...files.flatMap(describeFile),
];
writeFileSync(join(root, 'docs', 'api.md'), `${page.filter((line) => line !== '').join('\n\n')}\n`);

if (!existsSync(join(site, 'node_modules'))) {
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: site, stdio: 'inherit' });
}
execFileSync(
  process.execPath,
  [join(site, 'node_modules', 'vitepress', 'bin', 'vitepress.js'), 'build', 'docs'],
  {
    cwd: root,
    stdio: 'inherit',
  },
);
