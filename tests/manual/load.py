#!/usr/bin/env python3
"""Sends events at a rate and says what became of them: one line of JSON.

Usage: load.py RATE STOP_FILE      until the file exists
Runs on the host under test; standard library only.
"""
import http.client
import json
import os
import sys
import threading
import time

THREADS = 4


def send(no, rate, stop, counts, lock):
    connection = None
    sent = 0
    begun = time.monotonic()
    while not os.path.exists(stop):
        pause = begun + sent * THREADS / rate - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        sent += 1
        body = json.dumps({"type": "load", "source": "load",
                           "labels": {"n": f"{no}-{sent}"}})
        try:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", 9000,
                                                        timeout=60)
            connection.request("POST", "/api/events", body)
            answer = connection.getresponse()
            data = answer.read()
            key = str(answer.status)
            if answer.getheader("Connection", "").lower() == "close":
                connection.close()
                connection = None
        except (OSError, http.client.HTTPException) as e:
            key, data = f"error: {e!r}", b""
            connection = None
        with lock:
            counts[key] = counts.get(key, 0) + 1
            if key == "202":
                counts["ids"].append(json.loads(data)["id"])


def main():
    rate, stop = float(sys.argv[1]), sys.argv[2]
    counts, lock = {"ids": []}, threading.Lock()
    threads = [threading.Thread(target=send,
                                args=(i, rate, stop, counts, lock))
               for i in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
