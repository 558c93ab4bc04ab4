import base64, os, sys, time, threading

sys.path.insert(0, ".")
from bus.transport import Transport

url, ca = os.environ["PILOTBUS_AMQP_URL"], os.environ["PILOTBUS_CA_FILE"]
forged = "amq.rabbitmq.reply-to." + base64.b64encode(b"\x83d\x00\x04init").decode() + ".abc"
with Transport(url, ca).closing() as t:
    t.own_queue("wake.me")
    t.consume("wake.me", no_ack=True)
    t.consume("amq.rabbitmq.reply-to", no_ack=True)
    t.publish("", "wake.me", b"x", reply_to="amq.rabbitmq.reply-to")
    legit = t.receive(1, 3)[0].reply_to
    print(legit)
    pid64, key = legit[len("amq.rabbitmq.reply-to.") :].split(".")
    raw = base64.b64decode(pid64)
    print(raw, "alive", t.alive(legit))
    try:
        t.reply([(forged, "c", b"{}")])
        time.sleep(0.5)
        t.beat()
        t.beat()
        print("reply to forged: survives")
    except Exception as p:
        print("reply to forged:", repr(p)[:120])
# legit form, another process: id is 4 bytes after the node atom, then serial 4, creation 4
for pid in range(0, 60):
    # find the id: tag 'X' (NEW_PID) or 'g'
    tail = 12 if raw[1:2] == b"X" else 9
    new = raw[:-tail] + pid.to_bytes(4, "big") + (0).to_bytes(4, "big") + raw[-tail + 8 :]
    addr = "amq.rabbitmq.reply-to." + base64.b64encode(new).decode() + "." + key
    out = []

    def probe():
        try:
            with Transport(url, ca).closing() as t:
                out.append(str(t.alive(addr)))
        except Exception as p:
            out.append(repr(p)[:60])

    th = threading.Thread(target=probe, daemon=True)
    th.start()
    th.join(1.0)
    if not out or out[0] != "False":
        print(pid, out or "HANGS", flush=True)
os._exit(0)
