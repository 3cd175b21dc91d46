/** The ways to carry records through Redis that are compared; each is a publisher's batch and a receiver's unpacking. */

import type { Redis } from 'ioredis';

export interface Row {
  room: string;
  offset: number;
  epoch: string;
  data: string;
}

export interface Carrier {
  name: string;
  /** One window's records, in one write. */
  send(redis: Redis, rows: readonly Row[]): Promise<unknown>;
  /** Subscribes to what carries `rooms` to receiver `me`. */
  follow(redis: Redis, rooms: readonly string[], me: number): Promise<unknown>;
  /** Calls `heard` for each record of a message. */
  read(channel: string, text: string, heard: (room: string, offset: number, data: string) => void): void;
}

const line = ({ room, offset, epoch, data }: Row): string => `${room}\t${offset}\t${epoch}\t${data}`;

function readLine(
  text: string,
  from: number,
  end: number,
  wanted: (room: string) => boolean,
  heard: (room: string, offset: number, data: string) => void,
): void {
  const a = text.indexOf('\t', from);
  const room = text.slice(from, a);
  if (!wanted(room)) return;
  const b = text.indexOf('\t', a + 1);
  const c = text.indexOf('\t', b + 1);
  heard(room, Number(text.slice(a + 1, b)), text.slice(c + 1, end));
}

function readLines(text: string, wanted: (room: string) => boolean, heard: (room: string, offset: number, data: string) => void): void {
  for (let from = 0; from < text.length;) {
    let end = text.indexOf('\n', from);
    if (end < 0) end = text.length;
    readLine(text, from, end, wanted, heard);
    from = end + 1;
  }
}

const luaRing = "for i = 1, #KEYS do redis.call('rpush', KEYS[i], ARGV[2*i]); redis.call('publish', ARGV[2*i-1], ARGV[2*i]) end";
const lua = "for i = 1, #ARGV, 2 do redis.call('publish', ARGV[i], ARGV[i+1]) end";

/** `interest`: which receivers have members in a room; `channels`: over how many the shard carriers spread. */
export function carriers(receivers: number, here: (room: string, me: number) => boolean): Record<string, Carrier> {
  let wanted: (room: string) => boolean = () => true;
  const remember = (rooms: readonly string[]): void => {
    const set = new Set(rooms);
    wanted = (room) => set.has(room);
  };
  const shards = (count: number): Carrier => ({
    name: `${count} shard channels`,
    send: (redis, rows) => {
      const by = new Map<number, string[]>();
      for (const row of rows) {
        const shard = Number.parseInt(row.room.slice(-4), 16) % count;
        const list = by.get(shard);
        if (list) list.push(line(row));
        else by.set(shard, [line(row)]);
      }
      if (by.size === 1) for (const [shard, lines] of by) return redis.publish(`s${shard}`, lines.join('\n'));
      const pipeline = redis.pipeline();
      for (const [shard, lines] of by) pipeline.publish(`s${shard}`, lines.join('\n'));
      return pipeline.exec();
    },
    follow: (redis, rooms) => {
      remember(rooms);
      const used = new Set(rooms.map((room) => Number.parseInt(room.slice(-4), 16) % count));
      return redis.subscribe(...[...used].map((shard) => `s${shard}`));
    },
    read: (_, text, heard) => readLines(text, wanted, heard),
  });
  return {
    each: {
      name: 'a channel per room, one command each at once',
      send: (redis, rows) => Promise.all(rows.map((row) => redis.publish(row.room, line(row)))),
      follow: (redis, rooms) => redis.subscribe(...rooms),
      read: (_, text, heard) => readLine(text, 0, text.length, () => true, heard),
    },
    rooms: {
      name: 'a channel per room, pipelined',
      send: (redis, rows) => {
        const pipeline = redis.pipeline();
        for (const row of rows) pipeline.publish(row.room, line(row));
        return pipeline.exec();
      },
      follow: (redis, rooms) => redis.subscribe(...rooms),
      read: (_, text, heard) => readLine(text, 0, text.length, () => true, heard),
    },
    script: {
      name: 'a channel per room, one script',
      send: (redis, rows) => redis.eval(lua, 0, ...rows.flatMap((row) => [row.room, line(row)])),
      follow: (redis, rooms) => redis.subscribe(...rooms),
      read: (_, text, heard) => readLine(text, 0, text.length, () => true, heard),
    },
    ringRooms: {
      name: 'a channel per room, pipelined, ring beside it',
      send: (redis, rows) => {
        const pipeline = redis.pipeline();
        for (const row of rows) pipeline.publish(row.room, line(row)).rpush(`ring:${row.room}`, row.data);
        return pipeline.exec();
      },
      follow: (redis, rooms) => redis.subscribe(...rooms),
      read: (_, text, heard) => readLine(text, 0, text.length, () => true, heard),
    },
    ringScript: {
      name: 'a channel per room, one script, ring within',
      send: (redis, rows) =>
        redis.eval(luaRing, rows.length, ...rows.map(({ room }) => `ring:${room}`), ...rows.flatMap((row) => [row.room, line(row)])),
      follow: (redis, rooms) => redis.subscribe(...rooms),
      read: (_, text, heard) => readLine(text, 0, text.length, () => true, heard),
    },
    ringOne: {
      name: '1 channel, ring beside it',
      send: (redis, rows) => {
        const pipeline = redis.pipeline();
        pipeline.publish('s0', rows.map(line).join('\n'));
        for (const row of rows) pipeline.rpush(`ring:${row.room}`, row.data);
        return pipeline.exec();
      },
      follow: (redis, rooms) => {
        remember(rooms);
        return redis.subscribe('s0');
      },
      read: (_, text, heard) => readLines(text, wanted, heard),
    },
    one: shards(1),
    shards8: shards(8),
    shards64: shards(64),
    replicas: {
      name: 'a batch per interested replica',
      send: (redis, rows) => {
        const pipeline = redis.pipeline();
        const lines = rows.map(line);
        for (let me = 0; me < receivers; me++) {
          const mine = lines.filter((_, index) => here(rows[index]!.room, me));
          if (mine.length > 0) pipeline.publish(`r${me}`, mine.join('\n'));
        }
        return pipeline.exec();
      },
      follow: (redis, rooms, me) => {
        remember(rooms);
        return redis.subscribe(`r${me}`);
      },
      read: (_, text, heard) => readLines(text, wanted, heard),
    },
  };
}
