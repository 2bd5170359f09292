import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../support/install.ts';
import { makeDir, programEnv, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';

const PROGRAM = join(ROOT, 'examples', 'mcp', 'main.ts');

/** Stands in every file; no answer of a tool may have it. */
const MARKER = 'these bytes are for nobody';

interface Part {
  readonly offset: number;
  readonly size_bytes: number;
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly command: string;
}

interface Parts {
  readonly upload_id: string;
  readonly parts: Part[];
  readonly missing_part_numbers: number[];
}

let dir: string;
let service: Service;
let agent: Client;
/** Everything that the agent was sent. */
let seen = '';

beforeAll(async () => {
  dir = await makeDir('mcp-example');
  service = await startService();
  agent = new Client({ name: 'test', version: '1.0.0' });
  const env = { ...programEnv(), ASSET_SERVICE_URL: service.url } as Record<string, string>;
  await agent.connect(
    new StdioClientTransport({ command: process.execPath, args: [PROGRAM], env, cwd: dir }),
  );
});
afterAll(async () => {
  await agent?.close();
  await service?.dispose();
  await removeDir(dir);
});

/** Calls a tool; its answer, or the text of its refusal. */
async function call<T = Record<string, unknown>>(name: string, args: Record<string, unknown>) {
  const result = await agent.callTool({ name, arguments: args });
  seen += JSON.stringify(result);
  const [first] = result.content as { readonly text: string }[];
  if (!result.isError) expect(JSON.parse(first!.text)).toEqual(result.structuredContent);
  return { refused: result.isError ? first!.text : undefined, ...(result.structuredContent as T) };
}

/** Writes a file of this size and begins to store it. */
async function start(name: string, bytes: number) {
  const content = Buffer.concat([Buffer.from(MARKER), randomBytes(bytes)]).subarray(0, bytes);
  const path = join(dir, 'content');
  await writeFile(path, content);
  const begun = await call<Parts>('start_upload', {
    ...{ name, size_bytes: bytes, owner: 'ann', usage: 'mcp', attributes: { title: 'A title' } },
  });
  return { content, path, ...begun };
}

/** Runs the command of a part as the agent would. */
function runCommand({ command }: Part, path: string) {
  const { status, stderr } = spawnSync('/bin/sh', ['-c', command], {
    env: { PATH: process.env['PATH'], FILE: path },
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([0, '']);
}

describe('the MCP example', () => {
  it('has tools that say what they are for', async () => {
    const { tools } = await agent.listTools();
    expect(tools.map(({ name }) => name)).toEqual([
      ...['find_files', 'describe_file', 'file_url'],
      ...['start_upload', 'upload_parts', 'complete_upload', 'cancel_upload'],
    ]);
    for (const { description, inputSchema, outputSchema } of tools) {
      expect(description).toMatch(/\w+/);
      expect([inputSchema.type, outputSchema?.type]).toEqual(['object', 'object']);
    }
    expect(agent.getInstructions()).toContain('never pass through');
  });

  it('stores a file of several parts by its commands, finds, describes and links it', async () => {
    const name = `it's "a" $(report).bin`;
    const { content, path, upload_id: id, parts } = await start(name, 20_000_000);
    expect(parts.length).toBeGreaterThan(1);
    // One by its URL, as a program would; one later, with URLs that are asked for again; the others by the command.
    const [first, , ...others] = parts;
    const { ok } = await fetch(first!.url, {
      ...{ method: first!.method, headers: first!.headers },
      body: content.subarray(first!.offset, first!.offset + first!.size_bytes),
    });
    expect(ok).toBe(true);
    for (const part of others) runCommand(part, path);
    expect((await call('complete_upload', { upload_id: id })).refused).toMatch(/^\w+: /);
    const rest = await call<Parts>('upload_parts', { upload_id: id });
    expect(rest.parts.map(({ offset }) => offset)).toEqual([parts[1]!.offset]);
    runCommand(rest.parts[0]!, path);
    expect((await call<Parts>('upload_parts', { upload_id: id })).parts).toEqual([]);

    const sha256 = createHash('sha256').update(content).digest('hex');
    const record = { id, name, size_bytes: content.length, owner: 'ann', usage: 'mcp', sha256 };
    expect(await call('complete_upload', { upload_id: id, sha256 })).toMatchObject(record);
    expect(await call('describe_file', { id })).toMatchObject({
      ...record,
      attributes: { title: 'A title' },
    });
    const found = await call<{ files: unknown[] }>('find_files', { owner: 'ann', usage: 'mcp' });
    expect(found.files).toEqual([expect.objectContaining({ id, name })]);
    expect((await call<{ files: unknown[] }>('find_files', { owner: 'bob' })).files).toEqual([]);
    const { url } = await call<{ url: string }>('file_url', { id, ttl_seconds: 60 });
    expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(content)).toBe(true);
  });

  it('stores an empty file, and gives pages', async () => {
    const { upload_id: id, parts } = await start('empty.txt', 0);
    expect(parts).toEqual([]);
    expect(await call('complete_upload', { upload_id: id })).toMatchObject({ id, size_bytes: 0 });
    const page = await call<{ files: { id: string }[]; next_page_token: string }>('find_files', { limit: 1 });
    expect(page.files.map((file) => file.id)).toEqual([id]);
    const next = await call<{ files: { id: string }[] }>('find_files', {
      ...{ limit: 1, page_token: page.next_page_token },
    });
    expect(next.files).toHaveLength(1);
    expect(next.files[0]!.id).not.toBe(id);
  });

  it('tells the agent why the service refuses', async () => {
    expect((await call('describe_file', { id: '0' })).refused).toMatch(/^FILE_NOT_FOUND: /);
    expect((await call('file_url', { id: '0' })).refused).toMatch(/^FILE_NOT_FOUND: /);
    expect((await call('upload_parts', { upload_id: '0' })).refused).toMatch(/^UPLOAD_NOT_FOUND: /);
    expect((await call('find_files', { page_token: 'x' })).refused).toMatch(/^\w+: /);
    expect((await call('find_files', { limit: 0 })).refused).toContain('limit');
    const { upload_id: wrong, parts, path } = await start('wrong.bin', 1_000);
    for (const part of parts) runCommand(part, path);
    const { refused } = await call('complete_upload', { upload_id: wrong, sha256: '0'.repeat(64) });
    expect(refused).toMatch(/^CHECKSUM_MISMATCH: /);
    const { upload_id: id } = await start('given-up.bin', 1_000);
    expect(await call('cancel_upload', { upload_id: id })).toMatchObject({ cancelled: true });
    expect((await call('complete_upload', { upload_id: id })).refused).toMatch(/^UPLOAD_NOT_FOUND: /);
  });

  it('sends no bytes of files through the agent', () => {
    expect(seen).toContain('upload_id');
    expect(seen).not.toContain(MARKER);
    expect(seen).not.toContain(Buffer.from(MARKER).toString('base64').slice(0, 20));
  });

  it('says which setting is missing', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM], {
      env: programEnv(),
      encoding: 'utf8',
    });
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain('ASSET_SERVICE_URL');
  });

  it('is configured as its README says', async () => {
    const readme = await readFile(join(ROOT, 'examples', 'mcp', 'README.md'), 'utf8');
    const { mcpServers } = JSON.parse(/```json\n(.*?)```/s.exec(readme)![1]!) as {
      mcpServers: Record<string, { args: string[]; env: Record<string, string> }>;
    };
    const [server] = Object.values(mcpServers);
    expect(server!.args.join(' ')).toMatch(/examples\/mcp\/main\.ts$/);
    const source = await readFile(PROGRAM, 'utf8');
    for (const name of Object.keys(server!.env)) expect(source).toContain(name);
    for (const { name } of (await agent.listTools()).tools) expect(readme).toContain(`\`${name}\``);
  });
});
