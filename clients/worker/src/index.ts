import {
  AssetClient,
  type AssetClientOptions,
  type AssetFile,
  type CallOptions,
  type ParkedEvent,
  type ReplayOptions,
  type Subscription,
} from '@asset-service/client-core';
import { Connection, toParkedEvents, toSubscriptions } from '@asset-service/client-core/internal';
import type { Writable } from 'node:stream';
import { consume, type ConsumeOptions, type EventHandler } from './consume.ts';
import { type DownloadedFile, type DownloadOptions, downloadTo, downloadToFile } from './download-to-file.ts';

export * from '@asset-service/client-core';
export type { DownloadedFile, DownloadOptions, DownloadProgress } from './download-to-file.ts';
export type { ConsumeOptions, EventContext, EventHandler } from './consume.ts';
export { localFileName } from './local-name.ts';

/** A client for workers and jobs: {@link AssetClient} and downloads to disk. */
export class WorkerClient extends AssetClient {
  /**
   * Downloads a file to a path. The path gets the whole file after it matches its SHA-256, or stays unchanged. A
   * broken download resumes.
   *
   * A regular file is replaced and keeps its mode; a symbolic link stays and its target is replaced. A directory
   * gets the file under {@link localFileName}; an existing file there is TARGET_EXISTS. Named pipes and devices are
   * written directly, so the check comes after the bytes. A target that cannot be written is TARGET_FAILED.
   */
  downloadToFile(id: string, path: string, options: DownloadOptions = {}): Promise<DownloadedFile> {
    return downloadToFile(this.connection, id, path, options);
  }

  /**
   * Handles the events of a named subscription, whose place the service keeps: workers with the same name and identity
   * share its events. An event is acknowledged when the handler resolves; when it rejects, or the worker is killed, the
   * event is delivered again, and parked after `maxAttempts`. Events of one file come in order. At least once: use
   * `event.id` as the key of what must be done once.
   *
   * Resolves when `signal` is aborted and the running handlers have ended; rejects with what does not pass by itself.
   */
  consume(name: string, handler: EventHandler, options: ConsumeOptions = {}): Promise<void> {
    return consume(this.connection, name, handler, options);
  }

  /** The subscriptions of this caller. */
  async listSubscriptions(options: CallOptions = {}): Promise<Subscription[]> {
    return toSubscriptions(await this.call(options, (call) => this.rpc.listSubscriptions({}, call)));
  }

  /** The parked events of a subscription, oldest first. */
  async listParkedEvents(subscription: string, options: CallOptions = {}): Promise<ParkedEvent[]> {
    return toParkedEvents(
      await this.call(options, (call) => this.rpc.listParkedEvents({ subscription }, call)),
    );
  }

  /** Delivers parked events again; returns how many. */
  async replayParkedEvents(subscription: string, options: ReplayOptions = {}): Promise<number> {
    const request = { subscription, eventIds: [...(options.eventIds ?? [])] };
    const { replayedEvents } = await this.call(options, (call) => this.rpc.replayParkedEvents(request, call));
    return replayedEvents;
  }

  /** Removes a subscription with its parked events. */
  async deleteSubscription(subscription: string, options: CallOptions = {}): Promise<void> {
    await this.call(options, (call) => this.rpc.deleteSubscription({ subscription }, call));
  }

  /**
   * Downloads a file into a stream such as standard output, as fast as it accepts bytes; the stream stays open. The
   * SHA-256 is checked at the end: do not use the bytes before this resolves.
   */
  downloadTo(id: string, destination: Writable, options: DownloadOptions = {}): Promise<AssetFile> {
    return downloadTo(this.connection, id, destination, options);
  }
}

/** Creates a client for a worker. It connects with the first call. */
export function createWorkerClient(options: AssetClientOptions): WorkerClient {
  return new WorkerClient(new Connection(options));
}
