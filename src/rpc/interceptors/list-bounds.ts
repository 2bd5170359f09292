import type { DescMessage, Message } from '@bufbuild/protobuf';
import { reflect, type ReflectMessage } from '@bufbuild/protobuf/reflect';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import type { Interceptor } from '@connectrpc/connect';
import type { AssetError } from '../../errors/asset-error.ts';
import { fieldInvalid } from '../../errors/fields.ts';

/** Maximum number of elements of a list in the contract; also for lists without a rule, such as a mask. */
const MAX_ITEMS = 1_000;

/** Maximum number of elements of all lists of a message together. */
const MAX_TOTAL = 10_000;

/**
 * Refuses messages with too long lists before validation checks each element: a message of 2 MiB can have a million
 * elements, and a million violations would fill the memory.
 */
export function boundLists(): Interceptor {
  return (next) => (request) => {
    const { input } = request.method;
    if (!request.stream) {
      assertShortLists(input, request.message);
      return next(request);
    }
    async function* bounded(messages: AsyncIterable<Message>) {
      for await (const message of messages) {
        assertShortLists(input, message);
        yield message;
      }
    }
    return next({ ...request, message: bounded(request.message) });
  };
}

/** Throws FIELD_INVALID if the lists and maps of a message have too many elements. */
function assertShortLists(schema: DescMessage, message: Message): void {
  count(reflect(schema, message), { total: 0 });
}

function count(message: ReflectMessage, seen: { total: number }): void {
  for (const field of message.fields) {
    if (field.fieldKind === 'scalar' || field.fieldKind === 'enum' || !message.isSet(field)) continue;
    if (field.fieldKind === 'message') {
      // Attributes are limited by size.
      if (field.message.typeName !== StructSchema.typeName) count(message.get(field), seen);
      continue;
    }
    const list = message.get(field);
    seen.total += list.size;
    if (list.size > MAX_ITEMS || seen.total > MAX_TOTAL) throw tooLong(field.name);
    const holdsMessages =
      field.fieldKind === 'list' ? field.listKind === 'message' : field.mapKind === 'message';
    if (holdsMessages) for (const value of list.values()) count(value as ReflectMessage, seen);
  }
}

function tooLong(field: string): AssetError {
  return fieldInvalid(
    field,
    `too many elements: a list may have ${MAX_ITEMS}, all lists of a message ${MAX_TOTAL}`,
  );
}
