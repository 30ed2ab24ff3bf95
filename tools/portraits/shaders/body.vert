in vec3 pos; in vec3 nrm; in vec3 rest; in vec2 uv; in float part; in float open;
uniform mat4 mvp; uniform mat4 light_mvp; uniform float inflate; uniform float hair_length; uniform float hair_round;
out vec3 P; out vec3 N; out vec3 R; out vec2 U; flat out float part_of; out float opening; out vec4 in_light;
void main() {
    vec3 p = pos;
#if LAYER == 1
    {  // hair shells: longer at the back and on top, hanging a little unless round (coils)
        float back = smoothstep(.9, -.2, rest.z), top = smoothstep(7.2, 8.2, rest.y);
        float grow = mix(.45 + .35 * back + .5 * top, 1.05 + .15 * top, hair_round);
        p += nrm * inflate * hair_length * grow - vec3(0, .25 * (1. - hair_round), 0) * inflate * inflate * hair_length;
    }
#else
    p += nrm * inflate;
#endif
    P = p; N = nrm; R = rest; U = uv; part_of = part; opening = open;
    in_light = light_mvp * vec4(p, 1); gl_Position = mvp * vec4(p, 1);
}
