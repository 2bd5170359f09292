import type { AssetClient, UploadPart } from '@asset-service/worker';
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { z } from 'zod';
import { answer, RECORD, toRecord } from './answer.ts';

/** Parts in one answer: each has a long URL, and an agent reads all of them. */
const PARTS_PER_ANSWER = 20;

const PARTS = {
  upload_id: z.string().describe('Id of the upload, and of the file that it becomes'),
  parts: z.array(
    z.object({
      part_number: z.number(),
      offset: z.number().describe('First byte of the part in the file'),
      size_bytes: z.number(),
      method: z.literal('PUT'),
      url: z.string(),
      headers: z.record(z.string(), z.string()),
      command: z.string().describe('Sends the part of the file that the shell variable FILE names'),
    }),
  ),
  missing_part_numbers: z
    .array(z.number())
    .describe('Parts to ask for with upload_parts when these are sent'),
  expire_time: z.string().optional().describe('When the URLs expire'),
};

/** A text as one word of a shell. */
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** One PUT with a Content-Length: curl reads the part from its standard input before it sends it. */
function commandFor({ url, headers }: UploadPart, offset: number, sizeBytes: number): string {
  // curl would name a content type of its own, which the signature does not have.
  const all = Object.entries({ 'content-type': '', ...headers });
  const options = all.map(([name, value]) => `-H ${quoted(value === '' ? `${name}:` : `${name}: ${value}`)}`);
  const bytes = `tail -c +${offset + 1} "$FILE" | head -c ${sizeBytes}`;
  return `${bytes} | curl --fail --silent --show-error -X PUT ${options.join(' ')} --data-binary @- ${quoted(url)}`;
}

/** URLs and commands for those parts of a direct upload that the store does not have. */
async function missingParts(assets: AssetClient, uploadId: string) {
  const { sizeBytes = 0, partSizeBytes, storedPartNumbers, transport } = await assets.getUpload(uploadId);
  const stored = new Set(storedPartNumbers);
  const count = transport === 'direct' ? Math.ceil(sizeBytes / partSizeBytes) : 0;
  const missing = Array.from({ length: count }, (_, index) => index + 1).filter((part) => !stored.has(part));
  const now = missing.slice(0, PARTS_PER_ANSWER);
  const signed =
    now.length > 0 ? await assets.signUploadParts(uploadId, now) : { parts: [], expireTime: undefined };
  const parts = signed.parts.map((part) => {
    const offset = (part.partNumber - 1) * partSizeBytes;
    const size = Math.min(partSizeBytes, sizeBytes - offset);
    return {
      ...{ part_number: part.partNumber, offset, size_bytes: size, method: 'PUT' },
      ...{ url: part.url, headers: { ...part.headers }, command: commandFor(part, offset, size) },
    };
  });
  return {
    upload_id: uploadId,
    parts,
    missing_part_numbers: missing.slice(PARTS_PER_ANSWER),
    expire_time: signed.expireTime?.toISOString(),
  };
}

/** Adds the tools for a direct upload: start_upload, upload_parts, complete_upload, cancel_upload. */
export function addUploadTools(server: McpServer, assets: AssetClient): void {
  const changes = { readOnlyHint: false, destructiveHint: false, openWorldHint: false };
  const uploadId = z.string().describe('upload_id of start_upload');

  server.registerTool(
    'start_upload',
    {
      title: 'Begin to store a file',
      description:
        'Says where to send the bytes of a new file: run the commands where the file is, with FILE as its path, then call complete_upload. The same request_id gives the same upload.',
      inputSchema: {
        name: z.string().min(1).describe('Display name, such as "report.pdf"; not a path'),
        size_bytes: z.number().int().min(0).describe('Exact size of the file'),
        usage: z.string().optional().describe('What the file is for; selects the policy of the service'),
        owner: z.string().optional().describe('Id of the owner'),
        content_type: z.string().optional().describe('Media type; the service detects it by default'),
        relations: z.record(z.string(), z.array(z.string())).optional(),
        attributes: z.record(z.string(), z.json()).optional(),
        request_id: z.string().optional(),
      },
      outputSchema: PARTS,
      annotations: changes,
    },
    (input) =>
      answer(async () => {
        const { uploadId: id } = await assets.startUpload({
          ...{ name: input.name, usage: input.usage, owner: input.owner, contentType: input.content_type },
          ...{ relations: input.relations, attributes: input.attributes, requestId: input.request_id },
          ...{ sizeBytes: input.size_bytes, transport: 'direct' },
        });
        return missingParts(assets, id);
      }),
  );

  server.registerTool(
    'upload_parts',
    {
      title: 'Parts that are not sent yet',
      description:
        'URLs and commands for the parts that the store does not have; also when URLs have expired.',
      inputSchema: { upload_id: uploadId },
      outputSchema: PARTS,
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    (input) => answer(() => missingParts(assets, input.upload_id)),
  );

  server.registerTool(
    'complete_upload',
    {
      title: 'Finish a file',
      description: 'Verifies the bytes and makes the file readable. Returns its record. It may be repeated.',
      inputSchema: {
        upload_id: uploadId,
        sha256: z.string().optional().describe('SHA-256 of the whole file, in hexadecimal, to be verified'),
      },
      outputSchema: RECORD,
      annotations: { ...changes, idempotentHint: true },
    },
    (input) =>
      answer(async () => toRecord(await assets.completeUpload(input.upload_id, { sha256: input.sha256 }))),
  );

  server.registerTool(
    'cancel_upload',
    {
      title: 'Give up an upload',
      description: 'Removes what was sent of a file that is not finished.',
      inputSchema: { upload_id: uploadId },
      outputSchema: { cancelled: z.boolean() },
      annotations: { ...changes, destructiveHint: true, idempotentHint: true },
    },
    (input) =>
      answer(async () => {
        await assets.cancelUpload(input.upload_id);
        return { cancelled: true };
      }),
  );
}
