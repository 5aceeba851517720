"""Options of every module of ansible-core 2.17; a test compares them with the installed one.

A line is ``module: option ...``, an option ``*name/alias?``: ``*`` is required, ``?`` true or false, ``#`` a whole
number, ``=a|b`` one of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

_TABLE = """
add_host: groups/group/groupname *name/host/hostname
apt: allow_change_held_packages? allow_downgrade/allow-downgrade/allow-downgrades/allow_downgrades?
  allow_unauthenticated/allow-unauthenticated? autoclean? autoremove? cache_valid_time# clean? deb
  default_release/default-release dpkg_options fail_on_autoremove? force? force_apt_get?
  install_recommends/install-recommends? lock_timeout# name/package/pkg only_upgrade? policy_rc_d# purge?
  state=absent|build-dep|latest|present|fixed update_cache/update-cache? update_cache_retries#
  update_cache_retry_max_delay# upgrade=dist|full|no|safe|yes
apt_key: data file id keyring keyserver state=absent|present url validate_certs?
apt_repository: codename filename install_python_apt? mode *repo state=absent|present update_cache/update-cache?
  update_cache_retries# update_cache_retry_max_delay# validate_certs?
assemble: attributes/attr backup? decrypt? delimiter *dest group ignore_hidden? mode owner regexp remote_src? selevel
  serole setype seuser *src unsafe_writes? validate
assert: fail_msg/msg quiet? success_msg *that
async_status: *jid mode=cleanup|status
blockinfile: append_newline? attributes/attr backup? block/content create? group insertafter insertbefore marker
  marker_begin marker_end mode owner *path/dest/destfile/name prepend_newline? selevel serole setype seuser
  state=absent|present unsafe_writes? validate
command: argv chdir cmd creates expand_argument_vars? removes stdin stdin_add_newline? strip_empty_ends?
copy: attributes/attr backup? checksum content decrypt? *dest directory_mode follow? force? group local_follow? mode
  owner remote_src? selevel serole setype seuser src unsafe_writes? validate
cron: backup? cron_file day/dom disabled? env? hour insertafter insertbefore job/value minute month *name
  special_time=annually|daily|hourly|monthly|reboot|weekly|yearly state=absent|present user weekday/dow
deb822_repository: allow_downgrade_to_insecure? allow_insecure? allow_weak? architectures by_hash? check_date?
  check_valid_until? components date_max_future# enabled? inrelease_path languages mode *name pdiffs? signed_by
  state=absent|present suites targets trusted? types uris
debconf: *name/pkg question/selection/setting unseen? value/answer
  vtype=boolean|error|multiselect|note|password|seen|select|string|text|title
debug: msg var verbosity#
dnf: allow_downgrade? allowerasing? autoremove? best? bugfix? cacheonly? conf_file disable_excludes disable_gpg_check?
  disable_plugin disablerepo download_dir download_only? enable_plugin enablerepo exclude install_repoquery?
  install_weak_deps? installroot list lock_timeout# name/pkg nobest? releasever security? skip_broken? sslverify?
  state=absent|present|installed|removed|latest update_cache/expire-cache? update_only?
  use_backend=auto|dnf|dnf4|dnf5|yum|yum4 validate_certs?
dnf5: allow_downgrade? allowerasing? autoremove? best? bugfix? cacheonly? conf_file disable_excludes
  disable_gpg_check? disable_plugin disablerepo download_dir download_only? enable_plugin enablerepo exclude
  install_repoquery? install_weak_deps? installroot list lock_timeout# name/pkg nobest? releasever security?
  skip_broken? sslverify? state=absent|present|installed|removed|latest update_cache/expire-cache? update_only?
  validate_certs?
dpkg_selections: *name *selection=install|hold|deinstall|purge
expect: chdir *command creates echo? removes *responses timeout
fail: msg
fetch: *dest fail_on_missing? flat? *src validate_checksum?
file: access_time access_time_format attributes/attr follow? force? group mode modification_time
  modification_time_format owner *path/dest/name recurse? selevel serole setype seuser src
  state=absent|directory|file|hard|link|touch unsafe_writes?
find: age age_stamp=atime|ctime|mtime contains depth# encoding exact_mode? excludes/exclude
  file_type=any|directory|file|link follow? get_checksum? hidden? mode *paths/name/path patterns/pattern
  read_whole_file? recurse? size use_regex?
gather_facts: parallel?
get_url: attributes/attr backup? checksum ciphers client_cert client_key decompress? *dest force? force_basic_auth?
  group headers http_agent mode owner selevel serole setype seuser timeout# tmp_dest unredirected_headers
  unsafe_writes? *url url_password/password url_username/username use_gssapi? use_netrc? use_proxy? validate_certs?
getent: *database fail_key? key service split
git: accept_hostkey? accept_newhostkey? archive archive_prefix bare? clone? depth# *dest executable force?
  gpg_allowlist/gpg_whitelist key_file recursive? reference refspec remote *repo/name separate_git_dir single_branch?
  ssh_opts track_submodules? umask update? verify_commit? version
group: force? gid# local? *name non_unique? state=absent|present system?
group_by: *key parents
hostname: *name use=alpine|debian|freebsd|generic|macos|macosx|darwin|openbsd|openrc|redhat|sles|solaris|systemd
import_playbook:
import_role: allow_duplicates? defaults_from handlers_from *name public? rolespec_validate? tasks_from vars_from
import_tasks: file
include_role: allow_duplicates? apply defaults_from handlers_from *name public? rolespec_validate? tasks_from
  vars_from
include_tasks: apply file
include_vars: depth# dir extensions file files_matching hash_behaviour=replace|merge ignore_files
  ignore_unknown_extensions? name
iptables: action=append|insert chain chain_management? comment ctstate destination destination_port destination_ports
  dst_range flush? fragment gateway gid_owner goto icmp_type in_interface ip_version=ipv4|ipv6 jump limit limit_burst
  log_level=0|1|2|3|4|5|6|7|emerg|alert|crit|error|warning|notice|info|debug log_prefix match match_set
  match_set_flags numeric? out_interface policy=ACCEPT|DROP|QUEUE|RETURN protocol reject_with rule_num set_counters
  set_dscp_mark set_dscp_mark_class source source_port src_range state=absent|present syn=ignore|match|negate
  table=filter|nat|mangle|raw|security tcp_flags to_destination to_ports to_source uid_owner wait
known_hosts: hash_host? key *name/host path state=absent|present
lineinfile: attributes/attr backrefs? backup? create? firstmatch? group insertafter insertbefore line/value mode owner
  *path/dest/destfile/name regexp/regex search_string selevel serole setype seuser state=absent|present unsafe_writes?
  validate
meta:
package: *name *state use
package_facts: manager strategy=first|all
pause: echo? minutes prompt seconds
ping: data
pip: break_system_packages? chdir editable? executable extra_args name requirements
  state=absent|forcereinstall|latest|present umask version virtualenv virtualenv_command virtualenv_python
  virtualenv_site_packages?
raw: executable
reboot: boot_time_command connect_timeout# msg post_reboot_delay# pre_reboot_delay# reboot_command reboot_timeout#
  search_paths test_command
replace: after attributes/attr backup? before encoding group mode others owner *path/dest/destfile/name *regexp
  replace selevel serole setype seuser unsafe_writes? validate
rpm_key: fingerprint *key state=absent|present validate_certs?
script: chdir cmd creates decrypt? executable removes
service: arguments/args enabled? *name pattern runlevel sleep# state=reloaded|restarted|started|stopped use
service_facts:
set_fact: cacheable? *key_value
set_stats: aggregate? *data per_host?
setup: fact_path filter gather_subset gather_timeout#
shell: chdir cmd creates executable removes stdin stdin_add_newline?
slurp: *src/path
stat: checksum_algorithm/checksum/checksum_algo=md5|sha1|sha224|sha256|sha384|sha512 follow?
  get_attributes/attr/attributes? get_checksum? get_mime/mime/mime-type/mime_type? *path/dest/name
subversion: checkout? dest executable export? force? in_place? password *repo/name/repository revision/rev/version
  switch? update? username validate_certs?
systemd: daemon_reexec/daemon-reexec? daemon_reload/daemon-reload? enabled? force? masked? name/service/unit no_block?
  scope=system|user|global state=reloaded|restarted|started|stopped
systemd_service: daemon_reexec/daemon-reexec? daemon_reload/daemon-reload? enabled? force? masked? name/service/unit
  no_block? scope=system|user|global state=reloaded|restarted|started|stopped
sysvinit: arguments/args daemonize? enabled? *name/service pattern runlevels sleep#
  state=started|stopped|restarted|reloaded
tempfile: path prefix state=directory|file suffix
template: attributes/attr backup? block_end_string block_start_string comment_end_string comment_start_string *dest
  follow? force? group lstrip_blocks? mode newline_sequence output_encoding owner selevel serole setype seuser *src
  trim_blocks? unsafe_writes? validate variable_end_string variable_start_string
unarchive: attributes/attr copy? creates decrypt? *dest exclude extra_opts group include io_buffer_size# keep_newer?
  list_files? mode owner remote_src? selevel serole setype seuser *src unsafe_writes? validate_certs?
uri: attributes/attr body body_format=form-urlencoded|json|raw|form-multipart ca_path ciphers client_cert client_key
  creates decompress? dest follow_redirects=all|no|none|safe|urllib2|yes force? force_basic_auth? group headers
  http_agent method mode owner remote_src? removes return_content? selevel serole setype seuser src status_code
  timeout# unix_socket unredirected_headers unsafe_writes? *url url_password/password url_username/user use_gssapi?
  use_netrc? use_proxy? validate_certs?
user: append? authorization comment create_home/createhome? expires force? generate_ssh_key? group groups hidden? home
  local? login_class move_home? *name/user non_unique? password password_expire_max# password_expire_min#
  password_expire_warn# password_lock? profile remove? role seuser shell skeleton ssh_key_bits# ssh_key_comment
  ssh_key_file ssh_key_passphrase ssh_key_type state=absent|present system? uid# umask
  update_password=always|on_create
validate_argument_spec: *argument_spec provided_arguments
wait_for: active_connection_states connect_timeout# delay# exclude_hosts host msg path port# search_regex sleep#
  state=absent|drained|present|started|stopped timeout#
wait_for_connection: connect_timeout# delay# sleep# timeout#
yum_repository: async? attributes/attr bandwidth baseurl cost deltarpm_metadata_percentage deltarpm_percentage
  description enabled? enablegroups? exclude failovermethod=roundrobin|priority file gpgcakey gpgcheck? gpgkey group
  http_caching=all|packages|none include includepkgs ip_resolve=4|6|IPv4|IPv6|whatever keepalive? keepcache=0|1
  metadata_expire metadata_expire_filter metalink mirrorlist mirrorlist_expire mode module_hotfixes? *name owner
  password priority protect? proxy proxy_password proxy_username repo_gpgcheck? reposdir retries s3_enabled? selevel
  serole setype seuser skip_if_unavailable? ssl_check_cert_permissions? sslcacert/ca_cert sslclientcert/client_cert
  sslclientkey/client_key sslverify/validate_certs? state=absent|present throttle timeout ui_repoid_vars
  unsafe_writes? username
"""


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a module.

    Attributes:
        names: its name and aliases.
        required: a task must have it.
        truth, number: its value is true or false, a whole number; neither: anything.
        choices: the values it may have; empty for any.
    """

    names: tuple[str, ...]
    required: bool = False
    truth: bool = False
    number: bool = False
    choices: tuple[str, ...] = ()


@cache
def options(module: str) -> dict[str, Option] | None:
    """Options of a module by name and alias; ``None`` for a module that is not in the table."""
    words = _words().get(module)
    if words is None:
        return None
    found: dict[str, Option] = {}
    for word in words.split():
        text, _, choices = word.partition("=")
        names = tuple(text.strip("*?#").split("/"))
        allowed = tuple(choices.split("|")) if choices else ()
        option = Option(names, text.startswith("*"), text.endswith("?"), text.endswith("#"), allowed)
        found.update(dict.fromkeys(names, option))
    return found


@cache
def _words() -> dict[str, str]:
    lines = _TABLE.strip().replace("\n  ", " ").splitlines()
    return {name: words for name, _, words in (line.partition(":") for line in lines)}
