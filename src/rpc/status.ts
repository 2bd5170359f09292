import { create } from '@bufbuild/protobuf';
import { anyPack, type Any } from '@bufbuild/protobuf/wkt';
import { StatusSchema, type Status } from '@asset-service/contract/google/rpc/status_pb.js';
import { toConnectError } from './errors.ts';

/** The error of a call as a message, for one item of a batch. */
export function toStatus(thrown: unknown, requestId: string): Status {
  const error = toConnectError(thrown, requestId);
  const details: Any[] = [];
  for (const detail of error.details) {
    if ('desc' in detail) details.push(anyPack(detail.desc, create(detail.desc, detail.value)));
  }
  return create(StatusSchema, { code: error.code, message: error.rawMessage, details });
}
