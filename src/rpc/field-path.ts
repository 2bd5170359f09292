import type { FieldPath } from '@asset-service/contract/buf/validate/validate_pb.js';

/** A field path in the form in which callers write it: `upload_spec.file.relations["project"].ids[0]`. */
export function fieldPathToString(path: FieldPath | undefined): string {
  let text = '';
  for (const element of path?.elements ?? []) {
    text += (text === '' ? '' : '.') + element.fieldName;
    const { subscript } = element;
    if (subscript.case !== undefined) {
      text +=
        typeof subscript.value === 'string' ? `[${JSON.stringify(subscript.value)}]` : `[${subscript.value}]`;
    }
  }
  return text;
}
