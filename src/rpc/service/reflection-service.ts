import { createRegistry, toBinary, type DescFile, type DescService } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, type ConnectRouter } from '@connectrpc/connect';
import { file_google_rpc_error_details } from '@asset-service/contract/google/rpc/error_details_pb.js';
import { ServerReflection } from '@asset-service/contract/grpc/reflection/v1/reflection_pb.js';
import type { ServerReflectionRequest } from '@asset-service/contract/grpc/reflection/v1/reflection_pb.js';
import {
  ServerReflection as ServerReflectionAlpha,
  type ServerReflectionRequest as ServerReflectionRequestAlpha,
} from '@asset-service/contract/grpc/reflection/v1alpha/reflection_pb.js';

type Query = (ServerReflectionRequest | ServerReflectionRequestAlpha)['messageRequest'];

/** Serves gRPC server reflection, v1 and v1alpha, from which tools such as grpcurl get the contract. */
export function reflectionRoutes(services: readonly DescService[]): (router: ConnectRouter) => void {
  const reflector = new Reflector([...services, ServerReflection, ServerReflectionAlpha]);
  return (router) => {
    router.service(ServerReflection, {
      async *serverReflectionInfo(requests) {
        for await (const request of requests) {
          const messageResponse = reflector.answer(request.messageRequest);
          yield { validHost: request.host, originalRequest: request, messageResponse };
        }
      },
    });
    router.service(ServerReflectionAlpha, {
      async *serverReflectionInfo(requests) {
        for await (const request of requests) {
          const messageResponse = reflector.answer(request.messageRequest);
          yield { validHost: request.host, originalRequest: request, messageResponse };
        }
      },
    });
  };
}

class Reflector {
  readonly #services: readonly DescService[];
  readonly #files = new Map<string, DescFile>();
  readonly #registry;

  constructor(services: readonly DescService[]) {
    this.#services = services;
    for (const service of services) this.#add(service.file);
    // The types of error details, so that tools can show them.
    this.#add(file_google_rpc_error_details);
    this.#registry = createRegistry(...this.#files.values());
  }

  answer(query: Query) {
    switch (query.case) {
      case 'listServices': {
        const service = this.#services.map(({ typeName }) => ({ name: typeName }));
        return { case: 'listServicesResponse' as const, value: { service } };
      }
      case 'fileByFilename':
        return this.#fileAnswer(this.#files.get(query.value), query.value);
      case 'fileContainingSymbol':
        return this.#fileAnswer(this.#fileOf(query.value), query.value);
      case 'fileContainingExtension': {
        const { containingType, extensionNumber } = query.value;
        const found = this.#extensionsOf(containingType).find(({ number }) => number === extensionNumber);
        return this.#fileAnswer(found?.file, `${containingType} ${extensionNumber}`);
      }
      case 'allExtensionNumbersOfType': {
        const extensionNumber = this.#extensionsOf(query.value).map(({ number }) => number);
        return {
          case: 'allExtensionNumbersResponse' as const,
          value: { baseTypeName: query.value, extensionNumber },
        };
      }
      default:
        return errorAnswer(Code.InvalidArgument, 'the request asks for nothing');
    }
  }

  #add(file: DescFile): void {
    const name = file.proto.name;
    if (this.#files.has(name)) return;
    for (const dependency of file.dependencies) this.#add(dependency);
    this.#files.set(name, file);
  }

  /** A field, method or enum value is found through its type. */
  #fileOf(symbol: string): DescFile | undefined {
    const found = this.#registry.get(symbol);
    if (found) return found.file;
    const dot = symbol.lastIndexOf('.');
    return dot > 0 ? this.#registry.get(symbol.slice(0, dot))?.file : undefined;
  }

  #extensionsOf(typeName: string) {
    return [...this.#registry].flatMap((type) =>
      type.kind === 'extension' && type.extendee.typeName === typeName ? type : [],
    );
  }

  /** The file and its imports, so that one response is enough. */
  #fileAnswer(file: DescFile | undefined, asked: string) {
    if (file === undefined) return errorAnswer(Code.NotFound, `not found: ${asked}`);
    const closure = new Set<DescFile>();
    const visit = (one: DescFile) => {
      if (closure.has(one)) return;
      closure.add(one);
      one.dependencies.forEach(visit);
    };
    visit(file);
    const fileDescriptorProto = [...closure].map((one) => toBinary(FileDescriptorProtoSchema, one.proto));
    return { case: 'fileDescriptorResponse' as const, value: { fileDescriptorProto } };
  }
}

function errorAnswer(errorCode: Code, errorMessage: string) {
  return { case: 'errorResponse' as const, value: { errorCode, errorMessage } };
}
