import { connect, type Socket } from 'node:net';

/** Raw HTTP/1.1 connections, each with `start` sent. */
export function openSockets(port: number, count: number, start: string): Socket[] {
  return Array.from({ length: count }, () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.resume();
    socket.write(start);
    return socket;
  });
}
