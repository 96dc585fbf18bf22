# SPDX-License-Identifier: GPL-2.0-or-later
"""Twelve security fixes of Debian 12, which differ in kind."""
import os
import re
import socket
import struct
import sys
import time

from engine import HERE, Fix, run, status_of, talk, wait_port

sys.path.insert(0, os.path.dirname(HERE))
import redis as redis_test  # noqa: E402


def write(path, text):
    with open(path, 'w') as out:
        out.write(text)
    return path


def wrk_failed(output):
    bad = re.search(r'Non-2xx or 3xx responses: (\d+)', output)
    errors = re.search(r'connect (\d+), read (\d+), write (\d+), timeout (\d+)', output)
    done = re.search(r'(\d+) requests in', output)
    if not done or not int(done[1]):
        return 'all'
    return (int(bad[1]) if bad else 0) + (sum(map(int, errors.groups())) if errors else 0)


class Redis(Fix):
    number, title = 'P01', 'redis CVE-2026-66373'
    package, version, newer = 'redis-server', '5:7.0.15-1~deb12u7', '5:7.0.15-1~deb12u10'

    def start(self):
        self.spawn(os.path.join(self.root, 'usr/bin/redis-server'), '--port',
                   str(redis_test.PORT), '--save', '', '--appendonly', 'no')
        wait_port(redis_test.PORT)

    def probe(self):
        return redis_test.probe().startswith('-ERR Bad data format')

    def load(self):
        return ['redis-benchmark', '-p', str(redis_test.PORT), '-q', '-t', 'set,get', '-n',
                '100000000', '-c', '20']

    def failed(self, output):
        return len(re.findall('rror', output))


class Haproxy(Fix):
    package, version = 'haproxy', '2.6.12-1+deb12u3'
    program = 'haproxy/usr/sbin/haproxy'
    without = ('liblua5.4-dev',)
    port = 7411

    def start(self):
        conf = write(self.path('haproxy.cfg'), f'''global
    nbthread 4
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 5s
frontend f
    bind 127.0.0.1:{self.port}
    http-request return status 200 content-type text/plain string ok
''')
        self.spawn(os.path.join(self.root, self.program), '-db', '-f', conf)
        wait_port(self.port)

    def load(self):
        return ['wrk', '-t', '1', '-c', '8', '-d', '600', f'http://127.0.0.1:{self.port}/ok']

    failed = staticmethod(wrk_failed)

    def ask(self, path, more=''):
        return status_of(talk(self.port, f'GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close'
                              f'\r\n{more}\r\n'.encode()))


class HaproxyFragment(Haproxy):
    number, title = 'P02', 'haproxy CVE-2023-45539'
    pop = fix = ('BUG-MINOR-h1-do-not-accept-as-part-of-the-URI-compon.patch',)

    def probe(self):
        return {200: False, 400: True}[self.ask('/ok#frag')]


class HaproxyLength(Haproxy):
    number, title = 'P05', 'haproxy CVE-2023-40225'
    pop = fix = ('BUG-MAJOR-http-reject-any-empty-content-length-heade.patch',)

    def probe(self):
        return {200: False, 400: True}[self.ask('/ok', 'Content-Length: \r\n')]


class Nginx(Fix):
    package, version = 'nginx', '1.22.1-9+deb12u9'
    program = 'nginx/usr/sbin/nginx'
    port = 7412

    def start(self):
        for name in ('files', 'logs', 'nginx'):
            os.makedirs(self.path(name), exist_ok=True)
        os.chmod(self.work, 0o755)
        write(self.path('files/a'), 'hello')
        conf = write(self.path('nginx.conf'), f'''daemon off;
user root;
worker_processes 2;
pid {self.work}/nginx.pid;
error_log {self.work}/error.log;
events {{}}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {self.work}/nginx/body;
    proxy_temp_path {self.work}/nginx/proxy;
    fastcgi_temp_path {self.work}/nginx/fastcgi;
    uwsgi_temp_path {self.work}/nginx/uwsgi;
    scgi_temp_path {self.work}/nginx/scgi;
    server {{
        listen 127.0.0.1:{self.port};
        location /ok {{ return 200 ok; }}
        location /r/ {{ rewrite ^(.*)$ /new?c=1; set $v $1; return 200 $v; }}
        location /dav/long/name/ {{
            alias {self.work}/files/;
            dav_methods PUT DELETE MKCOL COPY MOVE;
        }}
    }}
}}
''')
        self.spawn(os.path.join(self.root, self.program), '-c', conf, '-p', self.work)
        wait_port(self.port)

    def load(self):
        return ['wrk', '-t', '1', '-c', '8', '-d', '600', f'http://127.0.0.1:{self.port}/ok']

    failed = staticmethod(wrk_failed)


class NginxRewrite(Nginx):
    number, title = 'P03', 'nginx CVE-2026-42945'
    pop = fix = ('CVE-2026-42945.patch',)

    def probe(self):
        body = talk(self.port, b'GET /r/a%2Bb%20c%25d HTTP/1.0\r\n\r\n').split(b'\r\n\r\n')[-1]
        return {b'/r/a+b c%d': True}.get(body, False)

    def load(self):
        return ['wrk', '-t', '1', '-c', '8', '-d', '600', f'http://127.0.0.1:{self.port}/r/abc']


class NginxDav(Nginx):
    number, title = 'P06', 'nginx CVE-2026-27654'
    pop = fix = ('CVE-2026-27654.patch',)
    is_destructive = True

    def probe(self):
        answer = status_of(talk(self.port, b'COPY /dav/long/name/a HTTP/1.1\r\nHost: x\r\n'
                                b'Destination: /d\r\nConnection: close\r\n\r\n'))
        return {0: False, 500: False, 400: True}[answer]

    def probe_before(self):
        before = self.probe()
        wait_port(self.port)   # the worker that wrote where it must not may be another now
        time.sleep(0.5)
        return before


def name_of(text):
    return b''.join(bytes([len(p)]) + p.encode() for p in text.split('.') if p) + b'\0'


def dns_query(port, name, kind, number=0x1234, timeout=3):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(timeout)
        s.sendto(struct.pack('>6H', number, 0x100, 1, 0, 0, 0) + name_of(name) +
                 struct.pack('>2H', kind, 1), ('127.0.0.1', port))
        try:
            return s.recv(4096)
        except socket.timeout:
            return None


def dnsperf_failed(output):
    sent, done = (re.search(rf'Queries {w}:\s+(\d+)', output) for w in ('sent', 'completed'))
    if not sent or not done or not int(done[1]):
        return 'all'
    # What was on its way when the load was told to end is not lost.
    return max(0, int(sent[1]) - int(done[1]) - 100) + \
        (0 if re.search(r'NOERROR \d+ \(100.00%\)', output) else 1)


class Resolver(Fix):
    """Answers for a name server of ours; rate: queries a second of its load."""
    rate = 0

    def wait_answer(self, port):
        for _ in range(50):
            if dns_query(port, 'a.load', 1, timeout=0.3):
                return
            time.sleep(0.1)
        raise AssertionError(f'{self.package} does not answer')

    def select(self):
        return [str(self.server.pid)]

    def load(self):
        names = write(self.path('names'), ''.join(f'n{i}.load A\n' for i in range(20000)))
        return ['dnsperf', '-s', '127.0.0.1', '-p', str(self.port), '-d', names, '-l', '600',
                '-q', '50', '-Q', str(self.rate)]

    failed = staticmethod(dnsperf_failed)


class Dnsmasq(Resolver):
    """Without the fix the probe ends the server: before, that is one of its own."""
    number, title = 'P04', 'dnsmasq CVE-2026-5172'
    package, version = 'dnsmasq', '2.90-4~deb12u2'
    pop = fix = ('CVE-2026-5172.patch',)
    program = 'dnsmasq-base/usr/sbin/dnsmasq'
    is_small = is_destructive = True
    port, upstream, rate = 7413, 7414, 2000

    def start(self):
        self.spawn('python3', os.path.join(HERE, 'authority.py'), str(self.upstream))
        self.victim = self.serve(self.port + 4)
        self.server = self.serve(self.port)

    def serve(self, port):
        server = self.spawn('prlimit', '--as=500000000',
                            os.path.join(self.root, self.program), '-k', '-p', str(port),
                            '-C', '/dev/null', '-R', '-u', 'root', '-8', self.path('dnsmasq.log'),
                            '-S', f'127.0.0.1#{self.upstream}', '--cache-rr=MX', '-a', '127.0.0.1',
                            '--bind-interfaces', '--pid-file=' + self.path(f'pid{port}'),
                            '--dns-forward-max=1000')
        self.wait_answer(port)
        return server

    def probe(self):
        return self.survives(self.server, self.port)

    def probe_before(self):
        return self.survives(self.victim, self.port + 4)

    def survives(self, server, port):
        """A record that is too short: SERVFAIL with the fix, all memory is taken without."""
        answer = dns_query(port, f'short{time.time_ns()}.probe', 15)
        if answer and answer[3] & 15 == 2:
            return True
        server.kill()
        return False


class Libevent(Fix):
    number, title = 'P09', 'libevent CVE-2026-63382'
    package, version = 'libevent-2.1-7', '2.1.12-stable-8'
    newer, only = '2.1.12-stable-8+deb12u1', 'CVE-2026-63382'
    is_small = True
    port = 7415

    def start(self):
        home = self.path('transmission')
        os.makedirs(home, exist_ok=True)
        self.spawn('transmission-daemon', '-f', '-g', home, '-r', '127.0.0.1', '-p',
                   str(self.port), '-T', '-P', '7416', '-M', '-O',
                   env={'LD_LIBRARY_PATH': os.path.join(self.root, 'usr/lib/x86_64-linux-gnu')})
        wait_port(self.port)

    def ask(self, more):
        return status_of(talk(self.port, b'POST /transmission/rpc HTTP/1.1\r\nHost: 127.0.0.1\r\n'
                              b'Connection: close\r\n' + more))

    def probe(self):
        answer = self.ask(b'Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n')
        return {409: False, 400: True}[answer]

    def load(self):
        # 409 is the right answer to who brings no session.
        return ['wrk', '-t', '1', '-c', '2', '-d', '600',
                f'http://127.0.0.1:{self.port}/transmission/rpc']

    def failed(self, output):
        return wrk_failed(re.sub('Non-2xx or 3xx responses.*', '', output))


class Memcached(Fix):
    """Four fixes of code that Debian does not compile in."""
    number, title = 'P11', 'memcached CVE-2026-47783 and three'
    package, version, newer = 'memcached', '1.6.18-1', '1.6.18-1+deb12u1'
    expect = 'nothing-to-patch'
    is_small = True


class Squid(Fix):
    number, title = 'P07', 'squid CVE-2026-33526'
    package, version, newer = 'squid', '5.7-2+deb12u5', '5.7-2+deb12u6'
    only = 'CVE-2026-33526'
    port, icp = 7431, 7432

    def start(self):
        # What squid-common has, which is not of this architecture alone.
        source = self.path('debian', 'squid')
        conf = write(self.path('squid.conf'), f'''http_port 127.0.0.1:{self.port}
icp_port {self.icp}
icp_access allow all
http_access allow all
cache_mem 8 MB
cache deny all
access_log none
cache_log {self.work}/cache.log
pid_filename {self.work}/squid.pid
coredump_dir {self.work}
mime_table {source}/src/mime.conf.default
icon_directory {source}/icons
error_directory {source}/errors/templates
unlinkd_program {self.root}/usr/lib/squid/unlinkd
pinger_enable off
''')
        os.chmod(self.work, 0o777)
        self.spawn('python3', '-m', 'http.server', '7433', '--bind', '127.0.0.1',
                   '-d', self.work)
        self.squid = self.spawn(os.path.join(self.root, 'usr/sbin/squid'), '-N', '-f', conf)
        wait_port(self.port)
        wait_port(7433)

    def select(self):
        return [str(self.squid.pid)]

    def load(self):
        write(self.path('small'), 'small')
        return ['ab', '-q', '-t', '600', '-n', '100000000', '-c', '4', '-X',
                f'127.0.0.1:{self.port}', 'http://127.0.0.1:7433/small']

    def failed(self, output):
        counts = re.findall(r'(?:Failed requests|Non-2xx responses): +(\d+)', output)
        return sum(map(int, counts)) + len(re.findall('apr_', output))

    def probe(self):
        """A name with a space: with the fix it comes back, without that memory was freed."""
        name = b'http://127.0.0.1/a b\0'
        query = struct.pack('>BBHIIII', 1, 2, 24 + len(name), 7, 0, 0, 0) + b'\0\0\0\0' + name
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(3)
            s.sendto(query, ('127.0.0.1', self.icp))
            return s.recv(4096)[20:] == b'http://127.0.0.1/a%20b\0'


class Exim(Fix):
    number, title = 'P08', 'exim4 CVE-2023-51766'
    package, version = 'exim4', '4.96-15+deb12u10'
    pop = fix = ('77_CVE-2023-51766_4.97.1-release.diff',)
    below = 'src/'         # its hunks for the documentation do not come off any more
    program = 'exim4-daemon-light/usr/sbin/exim4'
    port = 7434

    def start(self):
        # The name that Debian's build has; its package makes the user, which is not installed.
        run('sh', '-c', 'id Debian-exim || useradd -r -s /usr/sbin/nologin Debian-exim')
        conf = write(self.path('exim.conf'), f'''exim_user = root
exim_group = root
never_users =
primary_hostname = test.example
spool_directory = {self.work}/spool
log_file_path = {self.work}/log-%slog
local_interfaces = 127.0.0.1.{self.port}
tls_advertise_hosts =
keep_environment =
acl_smtp_rcpt = accept
acl_smtp_data = accept
begin acl
accept:
  accept
begin routers
hole:
  driver = redirect
  data = :blackhole:
''')
        self.daemon = self.spawn(os.path.join(self.root, self.program), '-bdf', '-C', conf)
        wait_port(self.port)

    def select(self):
        # Its children come to the same end.
        return [str(self.daemon.pid)]

    def mail(self, body, timeout=2):
        """The answer to a message that ends as body does; None: it goes on."""
        with socket.create_connection(('127.0.0.1', self.port), timeout=5) as s:
            f = s.makefile('rb')
            f.readline()
            for line in (b'EHLO x', b'MAIL FROM:<a@test.example>', b'RCPT TO:<b@test.example>',
                         b'DATA'):
                s.sendall(line + b'\r\n')
                while f.readline()[3:4] == b'-':
                    pass
            s.sendall(body)
            s.settimeout(timeout)
            try:
                return s.recv(1000)
            except socket.timeout:
                return None

    def probe(self):
        """Line feed, dot, CRLF ends a message only without the fix."""
        return self.mail(b'Subject: x\r\n\r\none\n.\r\n') is None

    def load(self):
        return ['python3', os.path.join(HERE, 'mail_load.py'), str(self.port)]

    def failed(self, output):
        done = re.search(r'(\d+) sent, (\d+) failed', output)
        return int(done[2]) if done and int(done[1]) else 'all'


UNBOUND_HELPER = '''#include <stitch/livepatch.h>

/* The option's default is set where the configuration is made: there are some already. */
enum { SCRUB_SEEN = 0x11411 };

static int wants_scrub(struct config_file* cfg)
{
	if(!klp_shadow_get(cfg, SCRUB_SEEN)) {
		cfg->iter_scrub_promiscuous = 1;
		(void)klp_shadow_get_or_alloc(cfg, SCRUB_SEEN, 1, 0, NULL, NULL);
	}
	return cfg->iter_scrub_promiscuous;
}

static void forget(struct klp_object* obj)
{
	(void)obj;
	klp_shadow_free_all(SCRUB_SEEN, NULL);
}
KLP_POST_UNPATCH_CALLBACK(forget)
'''


class Unbound(Resolver):
    """The fix alone applies and changes nothing: the build has to say so."""
    number, title = 'P10', 'unbound CVE-2025-11411'
    package, version = 'unbound', '1.17.1-2+deb12u4'
    fix = tuple('CVE-2025-11411/' + name for name in (
        '1-iterator-iter_scrub.c-pass-module_env-parameter-to-s.patch',
        '2-possible-domain-hijacking-attack.patch',
        '3-additional-fix-for-possible-domain-hijacking.patch'))
    pop = fix[::-1]
    program = 'unbound/usr/sbin/unbound'
    notes = ('changed-member', 'runs-at-start')
    port, upstream, rate = 7420, 7421, 1000

    def edit(self, tree):
        path = os.path.join(tree, 'iterator/iter_scrub.c')
        text = open(path).read()
        text = text.replace('env->cfg->iter_scrub_promiscuous', 'wants_scrub(env->cfg)')
        last = [m.end() for m in re.finditer(r'^#include .*\n', text, re.M)][-1]
        write(path, text[:last] + UNBOUND_HELPER + text[last:])

    def start(self):
        self.spawn('python3', os.path.join(HERE, 'authority.py'), str(self.upstream))
        conf = write(self.path('unbound.conf'), f'''server:
    interface: 127.0.0.1@{self.port}
    num-threads: 4
    do-not-query-localhost: no
    minimal-responses: no
    username: ""
    chroot: ""
    directory: "{self.work}"
    pidfile: ""
    use-syslog: no
    module-config: "iterator"
    target-fetch-policy: "0 0 0 0 0"
stub-zone:
    name: "promisc"
    stub-addr: 127.0.0.1@{self.upstream}
stub-zone:
    name: "load"
    stub-addr: 127.0.0.1@{self.upstream}
remote-control:
    control-enable: no
''')
        self.server = self.spawn(os.path.join(self.root, self.program), '-d', '-c', conf)
        self.wait_answer(self.port)

    def probe(self):
        answer = dns_query(self.port, f'n{time.time_ns()}.promisc', 1)
        return {1: False, 0: True}[struct.unpack('>H', answer[8:10])[0]]


RATELIM = '''#include <stitch/livepatch.h>

/* What the fix adds to struct nghttp2_session is kept beside it: sessions exist already. */
enum { RESET_RATELIM = 0x44487, RESET_BURST = 1000, RESET_RATE = 33, GOAWAY_SUBMITTED = 0x10 };

struct reset_ratelim {
  uint64_t val, tstamp;
};

static int reset_is_too_fast(nghttp2_session *session) {
  struct timespec tp;
  struct reset_ratelim *rl = klp_shadow_get(session, RESET_RATELIM);
  uint64_t now;

  if (clock_gettime(CLOCK_MONOTONIC, &tp) == -1) {
    return 0;
  }
  now = (uint64_t)tp.tv_sec;
  if (!rl) {
    rl = klp_shadow_get_or_alloc(session, RESET_RATELIM, sizeof(*rl), 0, NULL, NULL);
    if (!rl) {
      return 0;
    }
    rl->val = RESET_BURST;
    rl->tstamp = now;
  }
  rl->val += (now - rl->tstamp) * RESET_RATE;
  if (rl->val > RESET_BURST) {
    rl->val = RESET_BURST;
  }
  rl->tstamp = now;
  if (!rl->val) {
    return 1;
  }
  --rl->val;
  return 0;
}

static void forget(struct klp_object *obj) {
  (void)obj;
  klp_shadow_free_all(RESET_RATELIM, NULL);
}
KLP_POST_UNPATCH_CALLBACK(forget)

'''


class Nghttp2Source(Fix):
    package, version = 'nghttp2', '1.52.0-1+deb12u3'
    pop = ('CVE-2026-27135-test.patch', 'CVE-2026-27135.patch',
           '0002-Add-nghttp2_option_set_max_continuations.patch',
           '0001-Limit-CONTINUATION-frames-following-an-incoming-HEAD.patch',
           'CVE-2023-44487.patch')
    fix = pop[-1:]
    object = 'libnghttp2-14/usr/lib/x86_64-linux-gnu/libnghttp2.so.14'
    program = 'nghttp2-server/usr/sbin/nghttpd'


class Nghttp2(Nghttp2Source):
    """The fix grows a structure in its middle: live sessions are of the old layout."""
    number, title = 'P12', 'nghttp2 CVE-2023-44487'
    expect = 'changed-layout'


class Nghttp2ByHand(Nghttp2Source):
    number, title = 'P12h', 'nghttp2 CVE-2023-44487 by hand'
    load_ends = True
    port = 7435

    def edit(self, tree):
        """Not what upstream did: from the unfixed source, with shadow variables."""
        old = self.path('source')
        for folder, _, names in os.walk(os.path.join(tree, 'lib')):
            for name in names:
                path = os.path.join(folder, name)
                was = os.path.join(old, os.path.relpath(path, tree))
                if os.path.exists(was):
                    os.replace(path, path + '.fixed')
                    with open(path, 'wb') as out:
                        out.write(open(was, 'rb').read())
                    os.unlink(path + '.fixed')
                else:
                    os.unlink(path)
        for name in ('configure.ac', 'CMakeLists.txt', 'cmakeconfig.h.in'):
            with open(os.path.join(tree, name), 'wb') as out:
                out.write(open(os.path.join(old, name), 'rb').read())
        path = os.path.join(tree, 'lib/nghttp2_session.c')
        text = open(path).read()
        at = text.index('int nghttp2_session_on_rst_stream_received(')
        end = text.index('  return 0;\n}\n', at)
        text = text[:end] + '''  if (session->server && !(session->goaway_flags & GOAWAY_SUBMITTED) &&
      reset_is_too_fast(session)) {
    session->goaway_flags |= GOAWAY_SUBMITTED;
    return nghttp2_session_add_goaway(session, session->last_recv_stream_id,
                                      NGHTTP2_INTERNAL_ERROR, NULL, 0,
                                      NGHTTP2_GOAWAY_AUX_NONE);
  }
''' + text[end:]
        gone = text.index('  if (session == NULL) {\n    return;\n  }\n',
                          text.index('void nghttp2_session_del('))
        gone = text.index('}\n', gone) + 2
        text = text[:gone] + '\n  klp_shadow_free(session, RESET_RATELIM, NULL);\n' + text[gone:]
        last = [m.end() for m in re.finditer(r'^#include .*\n', text, re.M)][-1]
        write(path, text[:last] + '#include <time.h>\n' + RATELIM + text[last:])

    def start(self):
        os.makedirs(self.path('www'), exist_ok=True)
        write(self.path('www/index.html'), 'hello')
        library = os.path.dirname(os.path.join(self.root, self.object))
        self.spawn(os.path.join(self.root, self.program), '--no-tls', '-n', '2', '-d',
                   self.path('www'), '-a', '127.0.0.1', str(self.port),
                   env={'LD_LIBRARY_PATH': library})
        wait_port(self.port)

    def load(self):
        return ['h2load', '-D', '20', '-c', '4', '-m', '4',
                f'http://127.0.0.1:{self.port}/index.html']

    def failed(self, output):
        done = re.search(r'(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout', output)
        return sum(map(int, done.groups()[1:])) if done and int(done[1]) else 'all'

    def probe(self):
        """1500 streams that are reset at once: GOAWAY with INTERNAL_ERROR, or none."""
        def frame(kind, flags, stream, data=b''):
            return struct.pack('>I', len(data))[1:] + bytes([kind, flags]) + \
                struct.pack('>I', stream) + data
        # Indexed fields of HPACK's static table: GET, http, /; and an authority.
        head = b'\x82\x86\x84\x41\x01x'
        data = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0)
        for i in range(1500):
            data += frame(1, 5, 2 * i + 1, head) + frame(3, 0, 2 * i + 1, b'\0\0\0\x08')
        answer = talk(self.port, data, timeout=1, size=1 << 22)
        at = 0
        while at + 9 <= len(answer):
            size, kind = int.from_bytes(answer[at:at + 3], 'big'), answer[at + 3]
            if kind == 7 and int.from_bytes(answer[at + 13:at + 17], 'big') == 2:
                return True
            at += 9 + size
        return False
